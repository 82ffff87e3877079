/**
 * API servers over HTTP on one store, as far as the engine uses them: discovery, paged metadata lists, no-op patches that store
 * an object again when its key is not the server's write key, and reads. Of resources with a group of their own they take no
 * strategic merge patch, as of custom ones. `intercept` puts faults in front.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type ApiClient, apiClient } from "../../../../rotation/adapters/kubernetes/api-client";

export interface FakeObject {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  version: number;
  /** What it is stored with. */
  key: string;
}

export interface FakeStore {
  readonly objects: Map<string, FakeObject>;
  version: number;
  /** Etcd's own, which lists have as their resourceVersion. */
  revision: number;
  /** Served resources by plural; the group is core unless the plural has one behind it. */
  readonly served: { readonly name: string; readonly namespaced: boolean }[];
}

export interface FakeAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Cuts the connection instead. */
  readonly reset?: boolean;
}

export interface FakeApiServer {
  readonly client: ApiClient;
  readonly url: string;
  readonly requests: string[];
  writeKey: string;
  /** How many patches it has refused for their form. */
  refusedForms: number;
  /** Most requests that were under way at once. */
  mostAtOnce: number;
  /** Milliseconds that every answer takes. */
  delay: number;
  intercept: (request: IncomingMessage, path: string, body: string) => FakeAnswer | undefined;
  close(): Promise<void>;
}

export function fakeStore(names: readonly string[] = ["secrets"]): FakeStore {
  return {
    objects: new Map(),
    version: 100,
    revision: 10,
    served: names.map((name) => ({ name, namespaced: name !== "nodes" })),
  };
}

export function addObjects(store: FakeStore, resource: string, count: number, key: string): void {
  for (let index = 0; index < count; index++) {
    const name = `o${String(index).padStart(5, "0")}`;
    const namespaced = store.served.find((served) => served.name === resource)?.namespaced ?? true;
    const namespace = namespaced ? `ns${index % 3}` : "";
    store.version += 1;
    store.objects.set(`${resource} ${namespace}/${name}`, { resource, namespace, name, version: store.version, key });
  }
}

/** Where a fake listens, and its certificate. Without it: HTTP on a free port of 127.0.0.1. */
export interface FakeListener {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly cert: string; readonly key: string };
}

export async function fakeApiServer(
  store: FakeStore,
  name: string,
  writeKey: string,
  listener?: FakeListener,
): Promise<FakeApiServer> {
  let underWay = 0;
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    underWay += 1;
    self.mostAtOnce = Math.max(self.mostAtOnce, underWay);
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      setTimeout(() => {
        underWay -= 1;
        const path = request.url ?? "";
        self.requests.push(`${request.method} ${path}`);
        const form = request.headers["content-type"] ?? "";
        const answer =
          self.intercept(request, path, body) ??
          route(store, self.writeKey, request.method ?? "", new URL(path, "http://x"), form);
        if (answer.status === 415) self.refusedForms += 1;
        if (answer.reset) return void request.socket.destroy();
        response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
        response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {}));
      }, self.delay);
    });
  };
  const server = listener === undefined ? createServer(handle) : createTlsServer(listener.tls, handle);
  const { host, port } = listener ?? { host: "127.0.0.1", port: 0 };
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const url = `${listener === undefined ? "http" : "https"}://${host}:${(server.address() as AddressInfo).port}`;
  const client = apiClient({ name, url, tls: { ca: "", cert: "", key: "" } });
  const self: FakeApiServer = {
    client,
    url,
    requests: [],
    writeKey,
    refusedForms: 0,
    mostAtOnce: 0,
    delay: 0,
    intercept: () => undefined,
    close: async () => {
      await client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}

export const failure = (status: number, reason: string, message = "", more: object = {}): FakeAnswer => ({
  status,
  body: { kind: "Status", status: "Failure", code: status, reason, message, ...more },
});

function route(store: FakeStore, writeKey: string, method: string, url: URL, form: string): FakeAnswer {
  if (url.pathname === "/api") return { status: 200, body: discovery(store, true) };
  if (url.pathname === "/apis") return { status: 200, body: discovery(store, false) };
  if (/\/(apiservices|customresourcedefinitions|\w+webhookconfigurations|\w+admissionpolic\w+)$/.test(url.pathname))
    return { status: 200, body: { metadata: { resourceVersion: String(store.revision) }, items: null } };
  const [, group, inNamespace, plural = "", name] =
    /^\/(?:api|apis\/([^/]+))\/v1(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
  const resource = group === undefined ? plural : `${plural}.${group}`;
  if (!store.served.some((served) => served.name === resource))
    return failure(404, "NotFound", "the server could not find the requested resource");
  if (name === undefined) return list(store, resource, url.searchParams);
  if (method === "PATCH" && !patchForms(group).includes(form))
    return failure(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
  const object = store.objects.get(`${resource} ${inNamespace ?? ""}/${name}`);
  if (object === undefined) return failure(404, "NotFound");
  if (method === "PATCH" && object.key !== writeKey) {
    object.key = writeKey;
    object.version = store.version += 1;
  }
  return { status: 200, body: metadata(object) };
}

function patchForms(group: string | undefined): readonly string[] {
  const merge = "application/merge-patch+json";
  return group === undefined ? [merge, "application/strategic-merge-patch+json"] : [merge];
}

function list(store: FakeStore, resource: string, query: URLSearchParams): FakeAnswer {
  const all = [...store.objects.values()]
    .filter((object) => object.resource === resource)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const rest = all.filter((object) => object.name > (query.get("continue") ?? ""));
  const items = rest.slice(0, Number(query.get("limit") ?? rest.length));
  const remaining = rest.length - items.length;
  const more = remaining > 0 ? { continue: items.at(-1)?.name, remainingItemCount: remaining } : {};
  return {
    status: 200,
    body: {
      metadata: { resourceVersion: String(store.revision), ...more },
      items: items.length > 0 ? items.map(metadata) : null,
    },
  };
}

function metadata({ namespace, name, version }: FakeObject) {
  return { metadata: { ...(namespace !== "" && { namespace }), name, resourceVersion: String(version) } };
}

function discovery(store: FakeStore, core: boolean) {
  const groups = new Map<string, object[]>();
  for (const { name, namespaced } of store.served) {
    const dot = name.indexOf(".");
    const group = dot < 0 ? "" : name.slice(dot + 1);
    if ((group === "") !== core) continue;
    const resources = groups.get(group) ?? [];
    resources.push({
      resource: dot < 0 ? name : name.slice(0, dot),
      scope: namespaced ? "Namespaced" : "Cluster",
      verbs: ["get", "list", "patch"],
    });
    groups.set(group, resources);
  }
  const items = [...groups].map(([group, resources]) => ({
    metadata: { name: group },
    versions: [{ version: "v1", resources }],
  }));
  return { kind: "APIGroupDiscoveryList", items };
}
