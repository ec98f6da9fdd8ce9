// Ids that people paste from a spreadsheet or a chat.

const SEPARATORS = /[\s,;\u200b\ufeff]+/u;
const WRAPPING = /^['"“”‘’`]+|['"“”‘’`]+$/gu;

/** The ids of a pasted text, without quotes and repetitions; empty if the text is not a list. */
export function splitIds(text: string): string[] {
  const parts = text.split(SEPARATORS).map((part) => part.replace(WRAPPING, ''));
  return [...new Set(parts.filter((part) => part.length > 0))];
}

/** Whether a text is a list of ids and not words to search for: several parts, each with a digit. */
export function isIdList(text: string): boolean {
  const ids = splitIds(text);
  return ids.length > 1 && ids.every((id) => id.length >= 3 && /\d/.test(id));
}
