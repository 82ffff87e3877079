import assert from "node:assert/strict";
import fc from "fast-check";
import { describeTool } from "../../tools/catalog";
import { isAccepted } from "../../tools/find-tool";
import { compareVersions, parseVersion, programVersion } from "../../tools/program-version";

describe("versions of programs", () => {
  it("are found in what the programs print", () => {
    assert.equal(parseVersion("Kubernetes v1.36.3\n"), "1.36.3");
    assert.equal(parseVersion("Client Version: v1.36.3\nKustomize Version: v5.7.1\n"), "1.36.3");
    assert.equal(parseVersion("etcd Version: 3.6.5\nGit SHA: Not provided\nGo Version: go1.26.8\n"), "3.6.5");
    assert.equal(parseVersion("v3.259.0\n"), "3.259.0");
    assert.equal(parseVersion("go version go1.26.8 linux/amd64"), "1.26.8");
    assert.equal(parseVersion("v1.36.3+k3s1"), "1.36.3");
    assert.equal(parseVersion("listening on 127.0.0.1:80"), undefined);
    assert.equal(parseVersion("no version"), undefined);
  });

  it("are ordered by number, not as texts", () => {
    const version = fc.tuple(fc.nat(40), fc.nat(300), fc.nat(30));
    fc.assert(
      fc.property(version, version, (a, b) => {
        const expected = a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
        assert.equal(Math.sign(compareVersions(a.join("."), b.join("."))), Math.sign(expected));
      }),
    );
    assert.ok(compareVersions("1.9.0", "1.10.0") < 0);
  });

  it("a program on this machine is good enough from the stated version on, the older API server only as itself", () => {
    const linux = { os: "linux", architecture: "amd64" };
    assert.ok(isAccepted(describeTool("kube-apiserver", linux), "1.34.0"));
    assert.ok(!isAccepted(describeTool("kube-apiserver", linux), "1.33.9"));
    assert.ok(isAccepted(describeTool("kube-apiserver-1.31", linux), "1.31.14"));
    assert.ok(!isAccepted(describeTool("kube-apiserver-1.31", linux), "1.36.3"));
  });

  it("a program that prints none, or does not run, is an error that names it", async () => {
    assert.equal(await programVersion(process.execPath, ["--version"]), process.version.slice(1));
    await assert.rejects(programVersion("true", []), /true {2}prints no version|prints no version/);
    await assert.rejects(
      programVersion("/no/such/program", ["--version"]),
      /\/no\/such\/program --version does not run/,
    );
  });
});
