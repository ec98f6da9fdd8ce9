// How figures and times are shown: in which zone, in which currency, counted how. A view's URL decides, so that a shared
// link shows the same figures; then what was remembered; then the service.
import { clock } from './clock.svelte';
import { type Language, type MoneyMode, preferences } from './preferences.svelte';
import { route } from './router.svelte';
import { dayIn, isZone } from './time';

const REMEMBERED = 'psp-console-service-zone';

function rememberedZone(): string | null {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

const remembered = rememberedZone();
let serviceZone = $state(remembered && isZone(remembered) ? remembered : 'UTC');

/** Whether the zone of the service is known from an earlier visit, so that the first view need not wait for it. */
export const knowsServiceZone = remembered !== null;

export function setServiceZone(zone: string): void {
  if (!isZone(zone)) return;
  serviceZone = zone;
  try {
    localStorage.setItem(REMEMBERED, zone);
  } catch {
    // Storage is full or blocked: the next visit asks again.
  }
}

export const view = {
  get zone(): string {
    const wanted = route.query.get('timezone');
    if (wanted && isZone(wanted)) return wanted;
    return preferences.zone || serviceZone;
  },
  get serviceZone(): string {
    return serviceZone;
  },
  get money(): MoneyMode {
    const wanted = route.query.get('money');
    return wanted === 'usd' || wanted === 'original' ? wanted : preferences.money;
  },
  get locale(): Language {
    return preferences.language;
  },
  get today(): string {
    return dayIn(view.zone, clock.now);
  },
};
