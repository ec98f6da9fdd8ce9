// Who is signed in. The key is exchanged for a cookie that scripts cannot read, and is kept nowhere.
import { api, read, type Schemas, whenSignedOut } from './client';
import { ApiError } from './problem';

export type Role = Schemas['Role'];
type Me = Schemas['Me'];

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

let me = $state.raw<Me | null>(null);
let state = $state.raw<'loading' | 'signed-in' | 'signed-out' | 'unreachable'>('loading');
let failure = $state.raw<ApiError | null>(null);

export const session = {
  get me(): Me | null {
    return me;
  },
  get state() {
    return state;
  },
  get failure(): ApiError | null {
    return failure;
  },
  /** Whether to offer an action. The service decides again: this only spares people buttons that would be refused. */
  can(role: Role): boolean {
    return me !== null && RANK[me.role] >= RANK[role];
  },
};

export async function loadSession(): Promise<void> {
  try {
    me = await read(api.GET('/api/v1/me'));
    state = 'signed-in';
  } catch (cause) {
    if (!(cause instanceof ApiError)) throw cause;
    failure = cause;
    state = cause.status === 401 ? 'signed-out' : 'unreachable';
  }
}

export async function signIn(key: string): Promise<void> {
  const headers = { Authorization: `Bearer ${key}` };
  await read(api.POST('/api/v1/session', { headers }));
  await loadSession();
}

export async function signOut(): Promise<void> {
  await read(api.DELETE('/api/v1/session'));
  me = null;
  state = 'signed-out';
}

/** Whether the service is set up for OpenID Connect: the sign-in then answers with a redirect, which is not followed here. */
export async function hasIdentityProvider(): Promise<boolean> {
  try {
    const response = await fetch('/api/v1/session/oidc/login', { redirect: 'manual' });
    return response.type === 'opaqueredirect';
  } catch {
    return false;
  }
}

whenSignedOut(() => {
  if (state === 'signed-in') {
    me = null;
    state = 'signed-out';
  }
});
