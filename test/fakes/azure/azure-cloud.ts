/**
 * An Azure of our own on 127.0.0.1: Entra, Key Vault, managed HSM and the metadata service of a virtual machine, over real
 * sockets and TLS. Clients use the real host names. They get here by the `connect` function inside this process, and from
 * another process by the environment that `processEnvironment` makes (its HTTPS_PROXY leads here).
 */
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect as connectTcp, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { buildConnector } from "undici";
import { createCertificateAuthority } from "../../../control-plane/pki/certificate-authority";
import { createEntra, type Entra } from "./entra";
import { createFaults, type Faults } from "./faults";
import { createVault, type FakeVault } from "./key-vault";
import { createMetadataService, type MetadataService } from "./metadata-service";
import { jsonAnswer, type Routed, readRequest, respond, type WireRequest } from "./wire";

export interface FakeAzure {
  readonly entra: Entra;
  readonly metadata: MetadataService;
  readonly faults: Faults;
  /** Key vaults at `<name>.vault.azure.net`, or under another suffix. */
  addVault(
    name: string,
    options?: { readonly tenantId?: string; readonly suffix?: string; readonly authority?: string },
  ): FakeVault;
  /** Nothing answers at its host any more. */
  removeVault(name: string): void;
  /** Answers for one of `otherHosts`. */
  serve(host: string, route: (request: WireRequest) => Routed): void;
  /** The last requests, at least 5,000 of them, the newest last. */
  readonly requests: readonly WireRequest[];
  /** TLS connections that were opened so far. */
  readonly connections: () => number;
  /** TLS connections that are open now. */
  readonly openConnections: () => number;
  /** Tunnels that were opened by CONNECT so far. */
  readonly tunnels: () => number;
  /** How far the clock of all services is ahead of this machine's. */
  clockAheadMs: number;
  /** Leads connections of this process here, whatever host they are for. */
  readonly connect: buildConnector.connector;
  /** PEM of the authority that signed the services' certificate. */
  readonly authority: string;
  /** Where plain HTTP is answered: metadata service, proxy mode, and CONNECT for other processes. */
  readonly plainPort: number;
  /** The variables with which another process finds its way here; `directory` gets the authority's certificate. */
  processEnvironment(directory: string): Promise<Record<string, string>>;
  /** Ends connections that are idle, as Azure's front ends do after minutes. */
  closeIdleConnections(): void;
  close(): Promise<void>;
}

const remembered = 5_000;

const loginHosts = [
  "login.microsoftonline.com",
  "login.chinacloudapi.cn",
  "login.partner.microsoftonline.cn",
  "login.microsoftonline.us",
  "login.stack.example",
];
/** Hosts of the certificate that nothing answers for until `serve` says what does. */
const otherHosts = ["management.azure.com", "graph.microsoft.com"];
const vaultSuffixes = [
  "vault.azure.net",
  "vault.azure.cn",
  "vault.usgovcloudapi.net",
  "vault.stack.example",
  "managedhsm.azure.net",
  "managedhsm.azure.cn",
];

export async function startFakeAzure(): Promise<FakeAzure> {
  const pki = await createCertificateAuthority("fake azure authority");
  const pair = await pki.issue({
    commonName: "fake azure",
    dnsNames: ["localhost", ...loginHosts, ...otherHosts, ...vaultSuffixes.map((suffix) => `*.${suffix}`)],
  });
  const now = (): number => Date.now() + azure.clockAheadMs;
  const entra = createEntra(now, ["https://vault.stack.example"]);
  const metadata = createMetadataService(entra);
  const faults = createFaults();
  const vaults = new Map<string, FakeVault>();
  const hosts = new Map<string, (request: WireRequest) => Routed>();
  const requests: WireRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let openConnections = 0;
  let tunnels = 0;

  function routeByHost(request: WireRequest): Routed {
    if (loginHosts.includes(request.host)) return entra.route(request);
    const served = hosts.get(request.host);
    if (served !== undefined) return served(request);
    const vault = vaults.get(request.host);
    return vault === undefined ? unknownHost : vault.route(request);
  }

  function routePlain(request: WireRequest): Routed {
    switch (request.headers["x-azure-proxy-target"]) {
      case undefined:
        return metadata.route(request);
      case "AzureActiveDirectory":
        return entra.route({ ...request, host: loginHosts[0] ?? "" });
      case "KeyVault": {
        const [, host = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(request.path) ?? [];
        return routeByHost({ ...request, host, path });
      }
      default:
        return unknownHost;
    }
  }

  async function serve(
    incoming: IncomingMessage,
    response: ServerResponse,
    route: (request: WireRequest) => Routed,
  ): Promise<void> {
    const request = await readRequest(incoming);
    requests.push(request);
    if (requests.length > 2 * remembered) requests.splice(0, remembered);
    const routed = route(request);
    await respond(routed, faults.next(routed.place), response, now);
  }

  const secure = createTlsServer({ key: pair.privateKey, cert: pair.certificate }, (incoming, response) => {
    serve(incoming, response, routeByHost).catch((thrown: unknown) => response.destroy(thrown as Error));
  });
  const plain = createServer((incoming, response) => {
    serve(incoming, response, routePlain).catch((thrown: unknown) => response.destroy(thrown as Error));
  });
  secure.on("secureConnection", (socket: Socket) => {
    connections += 1;
    openConnections += 1;
    socket.on("close", () => {
      openConnections -= 1;
    });
  });
  for (const server of [secure, plain]) {
    // The client decides how long a connection idles, so that tests can count connections.
    server.keepAliveTimeout = 0;
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
  }
  plain.on("connect", (_request: IncomingMessage, client: Socket, head: Buffer) => {
    tunnels += 1;
    const tunnel = connectTcp(portOf(secure), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      tunnel.write(head);
      tunnel.pipe(client).pipe(tunnel);
    });
    sockets.add(tunnel);
    tunnel.on("close", () => sockets.delete(tunnel));
    tunnel.on("error", () => client.destroy());
    client.on("error", () => tunnel.destroy());
  });

  await Promise.all([listen(secure), listen(plain)]);
  const trusting = buildConnector({ ca: pki.certificate, timeout: 2_000 });

  const azure: FakeAzure = {
    entra,
    metadata,
    faults,
    requests,
    clockAheadMs: 0,
    connections: () => connections,
    openConnections: () => openConnections,
    tunnels: () => tunnels,
    authority: pki.certificate,
    plainPort: portOf(plain),
    addVault(
      name,
      { tenantId = randomUUID(), suffix = "vault.azure.net", authority = `https://${loginHosts[0]}` } = {},
    ) {
      const host = `${name.toLowerCase()}.${suffix}`;
      const vault = createVault({ host, tenantId, resource: `https://${suffix}`, authority }, entra, now);
      vaults.set(host, vault);
      return vault;
    },
    removeVault: (name) => void vaults.delete(`${name.toLowerCase()}.vault.azure.net`),
    serve: (host, route) => void hosts.set(host, route),
    connect(options, callback) {
      const port =
        options.protocol === "https:"
          ? portOf(secure)
          : options.hostname === "127.0.0.1"
            ? Number(options.port)
            : portOf(plain);
      trusting(
        { ...options, hostname: "127.0.0.1", port: String(port), servername: options.servername ?? options.hostname },
        callback,
      );
    },
    async processEnvironment(directory) {
      const file = join(directory, "fake-azure-ca.pem");
      await writeFile(file, pki.certificate);
      return {
        NODE_EXTRA_CA_CERTS: file,
        HTTPS_PROXY: `http://127.0.0.1:${portOf(plain)}`,
        AZURE_POD_IDENTITY_AUTHORITY_HOST: `http://127.0.0.1:${portOf(plain)}`,
      };
    },
    closeIdleConnections: () => secure.closeIdleConnections(),
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([secure, plain].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
  return azure;
}

const unknownHost: Routed = {
  place: undefined,
  answer: () => jsonAnswer(404, { error: { code: "NotFound", message: "Nothing of Azure has this name." } }),
};

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
