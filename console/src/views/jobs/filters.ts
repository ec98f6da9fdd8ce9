/** The filters of the list of jobs, by the API's names. */
export const JOB_FILTERS = ['state', 'kind', 'queue', 'error', 'created_from'] as const;
