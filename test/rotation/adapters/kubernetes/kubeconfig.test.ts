import assert from "node:assert/strict";
import { stringify } from "yaml";
import type { KmsEtcdError } from "../../../../core/errors";
import { readKubeconfig } from "../../../../rotation/adapters/kubernetes/kubeconfig";

const base64 = (text: string) => Buffer.from(text).toString("base64");

function kubeconfig(user: object, cluster: object = {}, more: object = {}): string {
  return stringify({
    kind: "Config",
    "current-context": "b",
    contexts: [
      { name: "a", context: { cluster: "other", user: "other" } },
      { name: "b", context: { cluster: "c", user: "u" } },
    ],
    clusters: [
      {
        name: "c",
        cluster: { server: "https://lb.example.com:6443", "certificate-authority-data": base64("CA"), ...cluster },
      },
    ],
    users: [{ name: "u", user }],
    ...more,
  });
}

const certificate = { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") };

describe("a kubeconfig", () => {
  it("a client certificate inside => the current context's credentials, and the names of the server", async () => {
    assert.deepEqual(await readKubeconfig(kubeconfig(certificate), "it"), {
      server: "https://lb.example.com:6443",
      tls: { ca: "CA", cert: "CERT", key: "KEY" },
      serverNames: ["lb.example.com"],
    });
  });

  it("a token, and a name for the certificate => both", async () => {
    assert.deepEqual(await readKubeconfig(kubeconfig({ token: "t" }, { "tls-server-name": "api" }), "it"), {
      server: "https://lb.example.com:6443",
      tls: { ca: "CA" },
      token: "t",
      serverNames: ["api", "lb.example.com"],
    });
  });

  it("files on the host => read there; in a text that came alone => refused, with how to put them inside", async () => {
    const text = kubeconfig({ "client-certificate": "/pki/c.pem", "client-key": "/pki/k.pem" });
    const { tls } = await readKubeconfig(text, "it", async (path) => `content of ${path}`);
    assert.deepEqual(tls, { ca: "CA", cert: "content of /pki/c.pem", key: "content of /pki/k.pem" });
    await assert.rejects(readKubeconfig(text, "it"), (error: KmsEtcdError) =>
      (error.remedy ?? "").includes("--flatten"),
    );
  });

  it("a program that makes a token, and somebody who can make it without it => that token", async () => {
    const exec = { command: "kubelogin", args: ["get-token", "--server-id", "the-server"] };
    const found = await readKubeconfig(kubeconfig({ exec }), "it", undefined, undefined, async (asked) => {
      assert.deepEqual(asked, exec);
      return "made";
    });
    assert.deepEqual(found.token, "made");
  });

  for (const [what, text, reason] of [
    ["no YAML", "{", /is no kubeconfig/],
    ["something else", "kind: Pod", /is no kubeconfig/],
    ["no such context", kubeconfig(certificate, {}, { "current-context": "zz" }), /names no cluster/],
    ["a program that makes credentials", kubeconfig({ exec: { command: "aws" } }), /from a program/],
    ["no authority", kubeconfig(certificate, { "certificate-authority-data": undefined }), /no certificate-authority/],
    ["no credentials", kubeconfig({}), /neither a client certificate/],
  ] as const) {
    it(`${what} => refused, and nothing of its text is said`, async () => {
      await assert.rejects(readKubeconfig(text, "it"), (error: KmsEtcdError) => {
        assert.equal(error.code, "invalid-input");
        assert.ok(!error.message.includes(base64("KEY")));
        return reason.test(error.message);
      });
    });
  }
});
