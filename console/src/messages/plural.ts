// Plural forms by CLDR: English has one and other, Russian one, few and many. The type makes a missing form an error.
import { formatCount } from '../lib/number';

type Forms = { en: { one: string; other: string }; ru: { one: string; few: string; many: string } };

/** A function that puts a count into the form that it needs: `#` is the count. */
export function pluralIn<L extends keyof Forms>(language: L) {
  const rules = new Intl.PluralRules(language);
  return (count: number, forms: Forms[L]): string => {
    const byRule: Partial<Record<Intl.LDMLPluralRule, string>> = forms;
    const form = byRule[rules.select(count)] ?? ('many' in forms ? forms.many : forms.other);
    return form.replace('#', formatCount(count, language));
  };
}
