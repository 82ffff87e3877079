import "reflect-metadata";
import assert from "node:assert/strict";
import { KeyObject, webcrypto } from "node:crypto";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect } from "node:net";
import * as x509 from "@peculiar/x509";
import { KmsEtcdError } from "../../../../core/errors";
import { type ApiServerAddress, apiClient } from "../../../../rotation/adapters/kubernetes/api-client";

const hour = 3_600_000;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A server on TLS whose certificate is valid for an hour, that many hours from now: as it looks where a clock is wrong. */
async function serverValidIn(hours: number): Promise<{ readonly server: Server; readonly certificate: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const begin = Date.now() + hours * hour;
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=kube-apiserver",
    notBefore: new Date(begin),
    notAfter: new Date(begin + hour),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "ip", value: "127.0.0.1" },
        { type: "dns", value: "kubernetes" },
      ]),
    ],
  });
  const certificate = made.toString("pem");
  const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" });
  const server = createServer({ cert: certificate, key }, (_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, certificate };
}

describe("an API server's certificate and this machine's clock", function () {
  this.timeout(30_000); // other work may share the machine
  for (const [what, hours, says] of [
    ["the clock is behind", 1, /not yet valid by this machine's clock, \d{4}-.*CERT_NOT_YET_VALID/],
    ["the clock is ahead, or nobody has renewed it", -2, /no longer valid by this machine's clock, .*CERT_HAS_EXPIRED/],
  ] as const) {
    it(`${what} => unreachable, and the message names the clock, directly and over a connection of somebody else's`, async () => {
      const { server, certificate } = await serverValidIn(hours);
      const { port } = server.address() as AddressInfo;
      const address = { name: "cp1", url: `https://127.0.0.1:${port}`, tls: { ca: certificate } };
      const way: ApiServerAddress["way"] = {
        dial: () => Promise.resolve(connect(port, "127.0.0.1")),
        serverNames: ["kubernetes"],
      };
      for (const reached of [address, { ...address, way }]) {
        const client = apiClient(reached);
        await assert.rejects(client.send({ method: "GET", path: "/readyz" }), (error: unknown) => {
          assert.ok(error instanceof KmsEtcdError && error.code === "unreachable", String(error));
          assert.match(error.message, says);
          return true;
        });
        await client.close();
      }
      await new Promise((resolve) => server.close(resolve));
    });
  }

  it("the clock is right => an answer", async () => {
    const { server, certificate } = await serverValidIn(-0.5);
    const { port } = server.address() as AddressInfo;
    const client = apiClient({ name: "cp1", url: `https://127.0.0.1:${port}`, tls: { ca: certificate } });
    assert.equal((await client.send({ method: "GET", path: "/readyz" })).body, "ok");
    await client.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
