// Errors of the API as one type: what a view shows is `detail`, and `requestId` to copy into a message to the operators.
import type { components } from './generated/schema';

type Problem = components['schemas']['Problem'];

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly fields: readonly { field: string; message: string }[];

  constructor(status: number, code: string, detail: string, requestId: string | null, fields: Problem['errors'] = []) {
    super(detail);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.fields = fields;
  }

  /** The service, or the way to it, is at fault: asking again can help. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function fromProblem(response: Response, body: unknown): ApiError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  return new ApiError(
    response.status,
    problem.code ?? `HTTP_${response.status}`,
    problem.detail ?? problem.title ?? response.statusText,
    problem.request_id ?? response.headers.get('X-Request-Id'),
    problem.errors ?? [],
  );
}

/** `fetch` itself failed: there is no answer, and so no request id. */
export function fromNetwork(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError(0, 'NETWORK', cause instanceof Error ? cause.message : String(cause), null);
}
