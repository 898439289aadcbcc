/** `GET /` on the socket: a page for browsers, which reach it through `ssh -L`. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { readPackageFile } from '../../package-version.ts';

export class Page {
  readonly #html: Buffer;
  readonly #headers: Readonly<Record<string, string | number>>;

  /** Reads the page. It stays the same until the service ends, even if a newer package is installed meanwhile. */
  constructor() {
    const style = partOf('page.css');
    const script = partOf('page.js');
    const html = partOf('page.html')
      .replace('<style></style>', () => `<style>${style}</style>`)
      .replace('<script></script>', () => `<script>${script}</script>`);
    this.#html = Buffer.from(html);
    const policy = [
      "default-src 'none'",
      `script-src ${sourceOf(script)}`,
      `style-src ${sourceOf(style)}`,
      "connect-src 'self'",
      // The icon, which is part of the page.
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      // Guests write names: no text of this page can become HTML or a script.
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ];
    this.#headers = {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': this.#html.length,
      'Content-Security-Policy': policy.join('; '),
      'Cache-Control': 'no-store',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    };
  }

  answer(response: ServerResponse): void {
    response.writeHead(200, this.#headers).end(this.#html);
  }
}

/** Reads a part of the page as the build made it. */
function partOf(name: string): string {
  return readPackageFile(`dist/src/service/page/${name}`);
}

/** Returns the source expression that allows this text, and no other. */
function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
