// A service worker that adds two headers to every file of this page. With them, browsers allow the
// shared memory that threads need, whatever the web server sends.

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (new URL(request.url).origin === self.location.origin) {
    event.respondWith(answer(request));
  }
});

async function answer(request) {
  const found = await fetch(request);
  if (found.status !== 200) {
    return found; // an error, or a redirect, which the browser follows
  }
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) {
    headers.set(name, value);
  }
  return new Response(found.body, { status: found.status, headers });
}
