import "reflect-metadata";
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { createKeypairRotationResource } from "../../../provider/kops-credentials/keypair-rotation";
import type { CredentialEngine } from "../../../provider/kops-credentials/open-lazily";
import { type Properties, unknown } from "../../../provider/property-values";
import type { Operation } from "../../../provider/resource";
import { clientCertificateExpiry } from "../../../rotation/adapters/kops-credentials/client-certificate-expiry";
import { kubernetesCa } from "../../../rotation/adapters/kops-credentials/keypairs";

const hour = 3_600_000;
const start = Date.UTC(2026, 10, 23, 8);
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** As kops exports it: the certificate is valid for as long as the credential. */
async function adminKubeconfig(until: number): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: "01", name: "O=system:masters, CN=kubecfg", keys, signingAlgorithm: algorithm },
    ...{ notBefore: new Date(until - 48 * hour), notAfter: new Date(until) },
  });
  const data = Buffer.from(certificate.toString("pem")).toString("base64");
  return JSON.stringify({ users: [{ name: "c", user: { "client-certificate-data": data, "client-key-data": "x" } }] });
}

describe("the admin credentials of a KopsKeypairRotation", () => {
  const inputs: Properties = {
    kops: { clusterName: "e2e.k8s.local", stateStore: "s3://state" },
    ...{ replaceMadeBefore: "2026-11-01", advanceTo: "Promote", adminCredentialLifetime: "18h" },
  };
  const never = new AbortController().signal;

  /** A cluster whose keypairs stay as they are; the time is `clock.now`. */
  function rotation() {
    const clock = { now: start };
    const warnings: string[] = [];
    const seen = { keysets: [{ name: kubernetesCa, keypairs: [{ id: "1", isPrimary: true, madeAt: start }] }] };
    const opened = {
      store: { observe: async () => seen, fingerprint: () => "same" },
      kubeconfig: async (adminFor: string | undefined) => ({
        ca: "CA",
        text: adminFor === undefined ? "none" : await adminKubeconfig(clock.now + 18 * hour),
      }),
    };
    const engine = {
      openKeypairs: async () => opened,
      predictSteps: () => ({ lines: [], actions: [] }),
      runCredentials: async () => ({ isSettled: true, seen }),
      clientCertificateExpiry,
    } as unknown as CredentialEngine;
    const resource = createKeypairRotationResource(
      () => engine,
      () => clock.now,
    );
    const operation = {
      ...{ urn: "urn", name: "keypairs", signal: never, progress: () => undefined },
      warn: async (message: string) => warnings.push(message),
    } as unknown as Operation;
    const preview = async (outputs: Properties) => {
      const state = { id: "keypairs", inputs, outputs };
      await resource.check(inputs, inputs, operation);
      const { outputs: changed } = await resource.diff(state, inputs, operation);
      return { changed, foretold: await resource.update(state, inputs, true, operation) };
    };
    return { clock, resource, operation, preview };
  }

  it("before their time is over => nothing to do; after => the preview shows new ones, a run makes them, then nothing again", async () => {
    const { clock, resource, operation, preview } = rotation();
    const { outputs: first } = await resource.create(inputs, false, operation);
    clock.now += 17 * hour;
    assert.deepEqual((await preview(first)).changed, []);
    clock.now += 24 * hour;
    const { changed, foretold } = await preview(first);
    assert.deepEqual(changed, ["adminKubeconfig"]);
    // What depends on it is changed too, and on nothing else.
    assert.deepEqual([foretold["adminKubeconfig"], foretold["kubeconfig"]], [unknown, "none"]);
    const second = await resource.update({ id: "keypairs", inputs, outputs: first }, inputs, false, operation);
    assert.notEqual(second["adminKubeconfig"], first["adminKubeconfig"]);
    assert.equal(clientCertificateExpiry(second["adminKubeconfig"] as string), clock.now + 18 * hour);
    assert.deepEqual((await preview(second)).changed, []);
  });

  it("a run for another reason before their time is over => they stay, because each export makes one more", async () => {
    const { clock, resource, operation } = rotation();
    const { outputs: first } = await resource.create(inputs, false, operation);
    clock.now += hour;
    const second = await resource.update({ id: "keypairs", inputs, outputs: first }, inputs, false, operation);
    assert.equal(second["adminKubeconfig"], first["adminKubeconfig"]);
  });

  it("a kubeconfig without a certificate, or none at all => no time is known, and nothing is thrown", () => {
    for (const text of ["", "users: null", "{", "users: [{ user: { client-certificate-data: AAAA } }]"]) {
      assert.equal(clientCertificateExpiry(text), undefined, text);
    }
  });
});
