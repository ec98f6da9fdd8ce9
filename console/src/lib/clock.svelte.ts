// The current time, for "3 min ago". One timer for the page; it rests while the page is hidden.
let now = $state.raw(new Date());

export const clock = {
  get now(): Date {
    return now;
  },
};

export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now = new Date();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    now = new Date();
  });
}
