// Live updates: the WebSocket says what has changed, and the cache loads it again. Messages carry no figures, so nothing here
// can disagree with the API. Without the WebSocket the same entries are loaded again every few seconds.
import { cache, type Topic } from './cache';
import { type LiveMessage, parseMessage, topicsOf } from './messages';

const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];
const POLL_MS = 15_000;
/** After this long without a connection the page says so; shorter losses are not worth a banner. */
const NOTICE_MS = 4_000;
/** At most one reload of a topic in this time; the first event of a burst is shown at once. */
const THROTTLE_MS = 1_000;

export interface LogEntry {
  readonly message: LiveMessage;
  readonly receivedAt: Date;
}

const LOG_LENGTH = 40;

type Connection = 'connecting' | 'open' | 'lost';
let connection = $state.raw<Connection>('connecting');
let paused = $state.raw(false);
let lostSince = $state.raw<Date | null>(null);
let log = $state.raw<readonly LogEntry[]>([]);
let newPayments = $state.raw(0);
let progress = $state.raw<Readonly<Record<string, LiveMessage>>>({});

let lastId: number | null = null;
let socket: WebSocket | null = null;
let wanted = false;
let failures = 0;
let poll: ReturnType<typeof setInterval> | undefined;
const missed = new Set<Topic>();
const waiting = new Map<Topic, boolean>();
const listeners = new Set<(message: LiveMessage) => void>();

export const live = {
  get connection(): Connection {
    return connection;
  },
  get paused(): boolean {
    return paused;
  },
  get lostSince(): Date | null {
    return lostSince;
  },
  get log(): readonly LogEntry[] {
    return log;
  },
  /** Payments that arrived since `takeNewPayments`: a list that is being read does not move by itself. */
  get newPayments(): number {
    return newPayments;
  },
  /** The last progress message by source or day. */
  get progress(): Readonly<Record<string, LiveMessage>> {
    return progress;
  },
  takeNewPayments(): void {
    newPayments = 0;
  },
  pause(): void {
    paused = true;
  },
  resume(): void {
    paused = false;
    for (const topic of missed) refresh(topic);
    missed.clear();
  },
};

export function onLiveMessage(listener: (message: LiveMessage) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function connectLive(): void {
  wanted = true;
  open();
}

function open(): void {
  if (socket || !wanted) return;
  const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
  const since = lastId === null ? '' : `?since=${lastId}`;
  const opened = new WebSocket(`${scheme}://${window.location.host}/ws/updates${since}`);
  socket = opened;
  opened.addEventListener('message', ({ data }) => receive(data));
  opened.addEventListener('open', () => {
    const reconnected = lostSince !== null;
    connection = 'open';
    lostSince = null;
    failures = 0;
    clearInterval(poll);
    // Events are replayed, but answers that were loaded while the server was away may have failed.
    if (reconnected) refreshAll();
  });
  opened.addEventListener('close', () => {
    if (socket === opened) retry();
  });
}

export function disconnectLive(): void {
  const closing = socket;
  wanted = false;
  socket = null;
  clearInterval(poll);
  closing?.close();
}

function retry(): void {
  socket = null;
  const since = lostSince ?? new Date();
  if (connection === 'open' || failures === 0) {
    lostSince = since;
    clearInterval(poll);
    poll = setInterval(() => {
      if (!paused && !document.hidden) refreshAll();
    }, POLL_MS);
  }
  connection = Date.now() - since.getTime() > NOTICE_MS ? 'lost' : 'connecting';
  const delay = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? POLL_MS;
  failures += 1;
  setTimeout(open, delay * (0.75 + Math.random() / 2));
}

function receive(data: unknown): void {
  const message = parseMessage(data);
  if (!message) return;
  lastId = message.event_id ?? message.id;
  if (message.type === 'gap') {
    refreshAll();
    return;
  }
  if (message.type === 'new_transactions') newPayments += message.count ?? 0;
  remember(message);
  for (const topic of topicsOf(message.type)) refresh(topic);
  for (const listener of listeners) listener(message);
}

function remember(message: LiveMessage): void {
  const subject = message.source ?? message.date;
  if (message.type.endsWith('_progress') && subject) progress = { ...progress, [subject]: message };
  else if (/_(completed|failed)$/.test(message.type) && subject) {
    const { [subject]: _, ...rest } = progress;
    progress = rest;
  }
  if (topicsOf(message.type).length > 0 && !/_progress$|^metrics_updated$/.test(message.type)) {
    log = [{ message, receivedAt: new Date() }, ...log].slice(0, LOG_LENGTH);
  }
}

// Never loaded by themselves (README.md, "Rules"): what an admin loads with raw records, which the audit log keeps, and the list
// that is being read.
const ON_REQUEST: ReadonlySet<unknown> = new Set(['payment-with-record', 'quarantine', 'bulk-preview', 'payment-list']);

function refreshAll(): void {
  void cache.invalidateQueries({ predicate: ({ queryKey }) => !ON_REQUEST.has(queryKey[0]) });
}

// The first event is answered at once, those within the next second together, unless a pause has begun.
function refresh(topic: Topic): void {
  if (paused) {
    missed.add(topic);
    return;
  }
  if (waiting.has(topic)) {
    waiting.set(topic, true);
    return;
  }
  waiting.set(topic, false);
  void cache.invalidateQueries({ queryKey: [topic] });
  setTimeout(() => {
    const again = waiting.get(topic);
    waiting.delete(topic);
    if (again) refresh(topic);
  }, THROTTLE_MS);
}
