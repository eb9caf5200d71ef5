// Requests to the server, whose address contains the token: all addresses are relative.

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answer(response) {
  const content = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new RequestError(response.status, content.error);
  return content;
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new RequestError(0, "The server does not answer. Is paseg annotate still running?");
  }
  return answer(response);
}

export function get(name, query = {}) {
  return send(`api/${name}?${new URLSearchParams(query)}`);
}

export function post(name, content) {
  const body = JSON.stringify(content);
  // A request that is under way when the page is closed is completed, if it is small enough for the browser.
  const keepalive = body.length < 60000;
  return send(`api/${name}`, { method: "POST", body, keepalive, headers: { "Content-Type": "application/json" } });
}

export function imageAddress(name, channel) {
  return new URL(`api/image?${new URLSearchParams({ case: name, channel })}`, document.baseURI).href;
}

export function release(name, page, seconds) {
  navigator.sendBeacon("api/release", new Blob([JSON.stringify({ case: name, page, seconds })], { type: "application/json" }));
}
