// Requests to the server. Each returns JSON or throws an Error whose `status` is that of HTTP.

const BASE = new URL("api/", import.meta.url);

async function ask(path, options = {}, base = BASE) {
  let answer;
  try {
    answer = await fetch(new URL(path, base), options);
  } catch {
    throw Object.assign(new Error("The server does not answer."), { status: 0 });
  }
  if (answer.status === 204) return null;
  const text = await answer.text();
  let content = null;
  try { content = JSON.parse(text); } catch { /* an error page without JSON */ }
  if (!answer.ok) {
    const detail = content && content.detail;
    const reason = typeof detail === "string" ? detail : JSON.stringify(detail || text.slice(0, 200));
    throw Object.assign(new Error(reason), { status: answer.status });
  }
  return content;
}

function send(method, path, body, base) {
  return ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, base);
}

const of = (image) => `?image=${encodeURIComponent(image)}`;

export const api = {
  images: () => ask("images"),
  networks: () => ask("networks"),
  pictureUrl: (image) => new URL(`image${of(image)}`, BASE).href,
  open: (image) => send("POST", "sessions", { image }),
  close: (session) => ask(`sessions/${session}`, { method: "DELETE" }),
  prepare: (session, network) => send("POST", `sessions/${session}/prepare`, { network }),
  click: (session, body) => send("POST", `sessions/${session}/click`, body),
  trace: (image, start, end) => send("POST", `trace${of(image)}`, { start, end }),
  analyse: (image) => ask(`analyse${of(image)}`, { method: "POST" }),
  label: (image) => ask(`label${of(image)}`),
  save: (image, body) => send("PUT", `label${of(image)}`, body),
  next: (strategy) => send("POST", `activelearning/${strategy}`, {}, new URL("../", new URL(".", import.meta.url))),
};
