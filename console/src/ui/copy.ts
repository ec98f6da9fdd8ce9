/** A compact amount (`24.87 M`) is copied as the exact one that it stands for. */
export function copyExactAmounts(): void {
  document.addEventListener('copy', (event) => {
    const selection = document.getSelection();
    if (!selection || selection.rangeCount === 0 || !event.clipboardData) return;
    const content = selection.getRangeAt(0).cloneContents();
    const amounts = content.querySelectorAll<HTMLElement>('[data-exact]');
    if (amounts.length === 0) return;
    for (const hidden of content.querySelectorAll('.print-only')) hidden.remove();
    for (const amount of amounts) amount.textContent = amount.dataset['exact'] ?? '';
    event.clipboardData.setData('text/plain', content.textContent ?? '');
    event.preventDefault();
  });
}
