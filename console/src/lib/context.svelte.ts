// How figures and times are shown: in which zone, in which currency, counted how. A view's URL decides, so that a shared
// link shows the same figures; then what was remembered; then the service.
import { clock } from './clock.svelte';
import { type Language, type MoneyMode, preferences } from './preferences.svelte';
import { route } from './router.svelte';
import { dayIn, isZone } from './time';

let serviceZone = $state('UTC');

export function setServiceZone(zone: string): void {
  if (isZone(zone)) serviceZone = zone;
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
