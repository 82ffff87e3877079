import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { ImagePlatform, PluginImage, type PluginImageArgs } from "../../components";
import { typeTokens } from "../../core/type-tokens";
import { outputValue } from "./support/output-value";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
}

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
const repository = "myregistry.azurecr.io/team/kms-etcd-plugin";
const context = "image";
const login = { username: "robot", password: "s3cret-of-the-registry" };
const dockerImage = "docker-build:index:Image";

/** The value in Pulumi's wire form of a secret. */
function secret(value: unknown): unknown {
  const wire = value as { readonly value: unknown };
  assert.ok(Object.values(wire).includes("1b47061264138c4ac30d75fd1eb44270"), "it is a secret");
  return wire.value;
}

describe("PluginImage", function () {
  this.timeout(60_000); // the first one loads another package
  let registered: Registered[];
  beforeEach(async () => {
    registered = [];
    await pulumi.runtime.setMocks({
      newResource: ({ type, name, inputs: given }) => {
        const inputs = given as Record<string, unknown>;
        registered.push({ type, name, inputs });
        return { id: name, state: { ...inputs, digest, ref: `${repository}:latest@${digest}` } };
      },
      call: () => ({}),
    });
  });

  const inputsOf = (type: string) => registered.find((resource) => resource.type === type)?.inputs;

  it("build => an image that is pushed for both processors, not in previews, and ref by its digest", async () => {
    const image = new PluginImage("plugin", { build: { context, repository } });
    assert.equal(await outputValue(image.ref), `${repository}@${digest}`);
    assert.deepEqual(inputsOf(dockerImage), {
      context: { location: context },
      platforms: ["linux/amd64", "linux/arm64"],
      tags: [`${repository}:latest`],
      push: true,
      buildOnPreview: false,
      network: "default",
    });
  });

  it("a login => it goes to the registry in the repository's name, its password as a secret, and nowhere else", async () => {
    const image = new PluginImage("plugin", {
      build: { context, repository, tag: "v1", platforms: [ImagePlatform.LinuxArm64], registry: login },
    });
    await outputValue(image.ref);
    const { registries, tags, platforms } = inputsOf(dockerImage) ?? assert.fail();
    assert.deepEqual([tags, platforms], [[`${repository}:v1`], ["linux/arm64"]]);
    assert.deepEqual(secret(registries), [{ address: "myregistry.azurecr.io", ...login }]);
    assert.doesNotMatch(JSON.stringify(inputsOf(typeTokens.pluginImage)), /s3cret/);
  });

  it("a login with an address of its own, and outputs for inputs => both are used", async () => {
    const image = new PluginImage("plugin", {
      build: {
        context,
        repository: pulumi.output(repository),
        registry: pulumi.output({ ...login, address: "other.example" }),
      },
    });
    assert.equal(await outputValue(image.ref), `${repository}@${digest}`);
    assert.deepEqual(secret(inputsOf(dockerImage)?.["registries"]), [{ address: "other.example", ...login }]);
  });

  it("existingRef => ref is the same, and nothing is built", async () => {
    for (const existingRef of [`${repository}@${digest}`, `registry.example:5000/p:v1@${digest}`]) {
      const image = new PluginImage("plugin", { existingRef });
      assert.equal(await outputValue(image.ref), existingRef);
    }
    assert.equal(inputsOf(dockerImage), undefined);
  });

  const refused: readonly (readonly [string, unknown, readonly (readonly [path: string, reason: RegExp])[]])[] = [
    ["nothing", undefined, [["build", /is missing: give exactly one of build, existingRef/]]],
    [
      "both blocks and a misspelt input",
      { build: { context, repository }, existingRef: `${repository}@${digest}`, exisitngRef: "x" },
      [
        ["exisitngRef", /is not an input/],
        ["existingRef", /keep exactly one of the two/],
      ],
    ],
    ["a tag", { existingRef: `${repository}:v1` }, [["existingRef", /a tag can be moved to other bytes/]]],
    ["a short digest", { existingRef: `${repository}@sha256:abcd` }, [["existingRef", /names no digest/]]],
    ["a digest of nothing", { existingRef: `@${digest}` }, [["existingRef", /write host\/path@sha256/]]],
    [
      "a build with everything wrong",
      { build: { context: "", repository: `https://${repository}:v1`, tag: "a b", platform: "linux/amd64" } },
      [
        ["build.platform", /is not an input/],
        ["build.context", /npx kms-etcd-plugin-image --out FOLDER/],
        ["build.repository", /without scheme, tag and digest/],
        ["build.tag", /at most 128/],
      ],
    ],
    [
      "an empty build",
      { build: {} },
      [
        ["build.context", /is missing/],
        ["build.repository", /is missing/],
      ],
    ],
  ];
  for (const [name, args, expected] of refused) {
    it(`${name} => refused, each input by its path`, () => {
      assert.throws(
        () => new PluginImage("plugin", args as PluginImageArgs),
        (error: unknown) => {
          const errors = pulumi.InputPropertiesError.isInstance(error)
            ? error.errors
            : [error as pulumi.InputPropertyError];
          assert.deepEqual(
            errors.map(({ propertyPath }) => propertyPath),
            expected.map(([path]) => path),
          );
          for (const [index, [, reason]] of expected.entries()) assert.match(errors[index]?.reason ?? "", reason);
          return true;
        },
      );
      assert.deepEqual(registered, []);
    });
  }

  it("a tag that is known only later => refused when it is known", async () => {
    const image = new PluginImage("plugin", { existingRef: pulumi.output(Promise.resolve(`${repository}:v1`)) });
    await assert.rejects(outputValue(image.ref), /a tag can be moved to other bytes/);
  });
});
