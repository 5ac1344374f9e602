// The token: asked for once, when the service wants one; kept until the tab closes, and sent with every request.
import { useEffect, useRef, useState } from 'preact/hooks';

const KEY = 'pinfold-token';

let waiting: { promise: Promise<boolean>; settle: (given: boolean) => void } | null = null;
let declined = false;
const listeners = new Set<() => void>();
let show: (open: boolean) => void = () => undefined;

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}

/** Whether the person gave a token. All requests that wait share one dialog; one that was closed does not come back by itself. */
export function askForToken(): Promise<boolean> {
  if (declined) return Promise.resolve(false);
  if (!waiting) {
    let settle: (given: boolean) => void = () => undefined;
    const promise = new Promise<boolean>((resolve) => (settle = resolve));
    waiting = { promise, settle };
    show(true);
  }
  return waiting.promise;
}

/** Ask anew, because the person wishes to: after a dialog that was closed, or for a token that may write. */
export function askAgain(): Promise<boolean> {
  declined = false;
  return askForToken();
}

/** Calls back whenever a token was given, until the returned function is called: what was refused may be asked again. */
export function onToken(listen: () => void): () => void {
  listeners.add(listen);
  return () => { listeners.delete(listen); };
}

function settle(given: boolean): void {
  declined = !given;
  show(false);
  waiting?.settle(given);
  waiting = null;
  if (given) listeners.forEach((listen) => listen());
}

export function TokenDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState('');
  const refused = token() !== null;
  useEffect(() => {
    show = (open) => (open ? dialog.current?.showModal() : dialog.current?.close());
    if (waiting) show(true);
    return () => { show = () => undefined; };
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!text.trim()) return;
    sessionStorage.setItem(KEY, text.trim());
    setText('');
    settle(true);
  };
  return (
    <dialog ref={dialog} class="token" aria-labelledby="token-title" onCancel={() => settle(false)}>
      <form onSubmit={submit}>
        <h2 id="token-title">This service wants a token</h2>
        <p>
          {refused ? 'The token that this tab holds was not enough. ' : ''}
          Whoever started the service knows it. It is kept in this tab only, and forgotten when the tab closes.
        </p>
        <label>
          Token
          <input type="password" autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <div class="row end">
          <button type="button" class="quiet" onClick={() => settle(false)}>Not now</button>
          <button type="submit" class="primary">Use this token</button>
        </div>
      </form>
    </dialog>
  );
}
