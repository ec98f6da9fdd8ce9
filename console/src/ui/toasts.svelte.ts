// Short messages about something that ended while the person did something else.
export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly tone: 'plain' | 'success' | 'failed';
  readonly link?: { href: string; label: string };
}

const SHOWN_MS = 8000;
let next = 0;
let toasts = $state.raw<readonly Toast[]>([]);

export const shownToasts = {
  get list(): readonly Toast[] {
    return toasts;
  },
};

export function dismiss(id: number): void {
  toasts = toasts.filter((each) => each.id !== id);
}

export function toast(text: string, tone: Toast['tone'] = 'plain', link?: Toast['link']): void {
  next += 1;
  const id = next;
  toasts = [...toasts.slice(-3), link ? { id, text, tone, link } : { id, text, tone }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}
