// The client of the public API. Paths, parameters and answers are typed by openapi/openapi.json.
import createClient from 'openapi-fetch';
import type { components, paths } from './generated/schema';
import { type QueryValue, toQueryString } from '../lib/query';
import { ApiError, fromNetwork, fromProblem } from './problem';

export type Schemas = components['schemas'];

export const api = createClient<paths>({
  credentials: 'same-origin',
  querySerializer: (query) => toQueryString(query as Record<string, QueryValue>),
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

let onSignedOut: () => void = () => {};

/** Called when the service no longer knows the session, whichever request finds out. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

/** The data of an answer, or an `ApiError`. */
export async function read<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (cause) {
    throw fromNetwork(cause);
  }
  if (!answer.response.ok) {
    const error = fromProblem(answer.response, answer.error);
    if (error.status === 401) onSignedOut();
    throw error;
  }
  return answer.data as T;
}

export function isForbidden(error: unknown): boolean {
  return error instanceof ApiError && error.status === 403;
}
