/**
 * A kOps cluster for tests with other processes: the program `kops` beside this file, and a machine's API server for each machine of a
 * simulated cluster, over TLS at an address of its own on the loopback. Every command is recorded. The simulated cluster checks after each
 * change that a machine which boots now has what it needs and that everything stays readable.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createCertificateAuthority } from "../../../../control-plane/pki/certificate-authority";
import { writerOf } from "../../../../core/encryption-configuration";
import { hashOf, InvariantBroken, plainCluster, simulateKops } from "../../../rotation/adapters/kops/simulated-kops";
import {
  type FakeAnswer,
  type FakeApiServer,
  type FakeObject,
  type FakeStore,
  fakeApiServer,
} from "../../../rotation/adapters/kubernetes/api-server-fake";
import { answerKops, type KopsCall } from "./kops-commands";

export interface KopsStandIn {
  readonly cluster: string;
  readonly stateStore: string;
  /** Path of the program, and what its process has to have in its environment. */
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Text of a kubeconfig for the machines' API servers. */
  readonly kubeconfig: string;
  readonly world: ReturnType<typeof simulateKops>;
  readonly calls: readonly KopsCall[];
  /** Rules that were broken. */
  readonly broken: readonly string[];
  /** How many objects are stored with each provider. */
  stored(): Readonly<Record<string, number>>;
  /**
   * The `nth` command from now on whose arguments contain `text` is held: resolves with it when it has come. `release` lets it go on;
   * `drop` cuts it off, and nothing of it happens.
   */
  hold(text: string, nth: number): Promise<{ readonly call: KopsCall; release(): void; drop(): void }>;
  close(): Promise<void>;
}

const token = "an-administrators-token";

export async function startKopsStandIn(options: {
  readonly machines: number;
  readonly objects: number;
}): Promise<KopsStandIn> {
  const cluster = "e2e.k8s.local";
  const stateStore = "s3://kops-state";
  const port = await freePort();
  const groups = [{ name: "control-plane-a", role: "ControlPlane", fileAssets: [] }];
  const world = simulateKops({
    groups,
    ...options,
    random: () => 0.75,
    cluster: { ...plainCluster, spec: { ...plainCluster.spec, kubeAPIServer: { securePort: port } } },
  });
  const authority = await createCertificateAuthority("kubernetes-ca");
  const pair = await authority.issue({ commonName: "kubernetes-master", dnsNames: [`api.internal.${cluster}`] });
  const tls = { cert: pair.certificate, key: pair.privateKey };
  const servers = new Map<string, FakeApiServer>();
  const leases = new Map<string, { readonly version: number; readonly body: unknown }>();
  const calls: KopsCall[] = [];
  const broken: string[] = [];
  let holds: { readonly text: string; left: number; readonly held: (hold: Held) => void }[] = [];
  type Held = Awaited<ReturnType<KopsStandIn["hold"]>>;

  const store = storeOf(world);
  const place = {
    cluster,
    stateStore,
    addressOf: (machine: string) => `127.0.77.${Number(machine.replace("i-", "")) % 250}`,
  };

  /** Machines come and go with the cluster's; each has an API server of its own. */
  async function follow(): Promise<void> {
    for (const [name, server] of servers) {
      if (world.state.machines.some((machine) => machine.name === name && machine.up)) continue;
      servers.delete(name);
      await server.close();
    }
    for (const machine of world.state.machines) {
      if (!machine.up || servers.has(machine.name)) continue;
      const writer = () => writerOf(world.listIn(machine.text));
      const server = await fakeApiServer(store, machine.name, "", { host: place.addressOf(machine.name), port, tls });
      server.intercept = (request, path, body) => {
        server.writeKey = writer();
        if (request.headers.authorization !== `Bearer ${token}`)
          return { status: 401, body: { kind: "Status", code: 401 } };
        return status(machine, path) ?? lease(request.method ?? "", path, body);
      };
      servers.set(machine.name, server);
    }
  }

  function status(machine: (typeof world.state.machines)[number], path: string): FakeAnswer | undefined {
    if (path.startsWith("/readyz")) return { status: 200, body: "ok" };
    if (path === "/version") return { status: 200, body: { gitVersion: "v1.36.2" } };
    if (path !== "/metrics") return undefined;
    const hash =
      machine.text === undefined
        ? []
        : [
            `apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:0",hash="${hashOf(machine.text)}"} 1`,
          ];
    return {
      status: 200,
      body: ["# metrics", ...hash, `process_start_time_seconds ${machine.startedAt / 1_000}`, ""].join("\n"),
    };
  }

  /** The engine's own Lease; API servers here keep none for themselves. */
  function lease(method: string, path: string, body: string): FakeAnswer | undefined {
    const [, name] = /\/namespaces\/kube-system\/leases(?:\/([^?]+))?/.exec(path) ?? [];
    if (!path.includes("/leases")) return undefined;
    if (name === undefined && method === "GET") return { status: 200, body: { items: [] } };
    const document = (body === "" ? {} : JSON.parse(body)) as {
      metadata?: { name?: string; resourceVersion?: string };
    };
    const key = name ?? document.metadata?.name ?? "";
    const known = leases.get(key);
    const expected = document.metadata?.resourceVersion;
    if (method === "POST" ? known !== undefined : known === undefined)
      return { status: method === "POST" ? 409 : 404, body: { kind: "Status" } };
    if (method === "DELETE") {
      leases.delete(key);
      return { status: 200, body: { kind: "Status" } };
    }
    if (method === "GET") return { status: 200, body: known?.body };
    if (method === "PUT" && expected !== String(known?.version)) return { status: 409, body: { kind: "Status" } };
    const version = (known?.version ?? 0) + 1;
    const kept = { ...document, metadata: { ...document.metadata, resourceVersion: String(version), uid: "1" } };
    leases.set(key, { version, body: kept });
    return { status: method === "POST" ? 201 : 200, body: kept };
  }

  /** One after the other, as they come from one engine; whatever breaks a rule is kept. */
  async function answer(call: KopsCall): Promise<object | undefined> {
    calls.push(call);
    const text = call.args.join(" ");
    const waiting = holds.find((hold) => text.includes(hold.text) && (hold.left -= 1) === 0);
    if (waiting !== undefined) {
      holds = holds.filter((hold) => hold !== waiting);
      const goesOn = await new Promise<boolean>((decided) => {
        waiting.held({ call, release: () => decided(true), drop: () => decided(false) });
      });
      if (!goesOn) return undefined;
    }
    try {
      const result = await answerKops(world, place, call);
      await follow();
      return result;
    } catch (thrown) {
      if (thrown instanceof InvariantBroken) broken.push(thrown.message);
      return { code: 1, stdout: "", stderr: `Error: ${thrown instanceof Error ? thrown.message : String(thrown)}\n` };
    }
  }

  const door = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      void answer(JSON.parse(body) as KopsCall).then((result) => {
        if (result === undefined) request.socket.destroy();
        else response.end(JSON.stringify(result));
      });
    });
  });
  await listen(door);
  await follow();
  return {
    cluster,
    stateStore,
    program: join(__dirname, "kops"),
    environment: { KOPS_STAND_IN: `http://127.0.0.1:${(door.address() as AddressInfo).port}` },
    kubeconfig: kubeconfigOf(cluster, authority.certificate),
    world,
    calls,
    broken,
    stored() {
      const counts: Record<string, number> = {};
      for (const { provider } of world.state.objects.values()) counts[provider] = (counts[provider] ?? 0) + 1;
      return counts;
    },
    hold: (text, nth) => new Promise((held) => holds.push({ text, left: nth, held })),
    async close() {
      door.closeAllConnections();
      await Promise.all([
        new Promise((resolve) => door.close(resolve)),
        ...[...servers.values()].map((server) => server.close()),
      ]);
    },
  };
}

/** The cluster's objects as API servers serve them. */
function storeOf({ state }: ReturnType<typeof simulateKops>): FakeStore {
  const objects = new Map<string, FakeObject>();
  for (const name of state.objects.keys()) {
    const at = () => state.objects.get(name) ?? { provider: "", version: 0 };
    objects.set(`secrets default/${name}`, {
      resource: "secrets",
      namespace: "default",
      name,
      get version() {
        return at().version;
      },
      set version(version) {
        state.objects.set(name, { ...at(), version });
      },
      get key() {
        return at().provider;
      },
      set key(provider) {
        state.objects.set(name, { ...at(), provider });
      },
    });
  }
  return { objects, version: 1_000, revision: 1_000, served: [{ name: "secrets", namespaced: true }] };
}

function kubeconfigOf(cluster: string, authority: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: cluster,
        cluster: {
          server: "https://127.0.0.1",
          "certificate-authority-data": Buffer.from(authority).toString("base64"),
          "tls-server-name": `api.internal.${cluster}`,
        },
      },
    ],
    users: [{ name: cluster, user: { token } }],
    contexts: [{ name: cluster, context: { cluster, user: cluster } }],
    "current-context": cluster,
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}
