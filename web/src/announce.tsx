// One polite live region for the whole page.
let region: HTMLElement | null = null;

export function announce(text: string): void {
  if (region) region.textContent = text;
}

export function Announcer() {
  return <div class="unseen" role="status" aria-live="polite" id="announcer" ref={(element) => { region = element; }} />;
}
