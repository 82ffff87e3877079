import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import type { AwsKeyNames } from "../../../../rotation/adapters/aws/aws-key-names";
import { withKeyArns } from "../../../../rotation/adapters/aws/with-key-arns";
import type { DefinitionFile } from "../../../../rotation/adapters/hosts/host-manifests";
import { aliasesOf, aliasResolver } from "../../../../rotation/adapters/hosts/key-aliases";
import { parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { parseUnit } from "../../../../rotation/adapters/hosts/plugin-unit";

const arn = (digit: number) => `arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-12345678900${digit}`;
const aliasArn = "arn:aws:kms:eu-west-1:111122223333:alias/etcd";
const signal = new AbortController().signal;

/** `words` as they stand in YAML. */
const pod = (words: string) =>
  `kind: Pod # alias/a\nmetadata: {name: p}\nspec:\n  containers:\n  - name: other\n    args: [--quiet]\n  - name: p\n    args: ${words}\n`;

function definition(text: string): DefinitionFile {
  const manifest = parseManifest(text);
  assert.ok(manifest);
  return { fileName: "p.yaml", text, modifiedAt: 0, manifest };
}

const aliasesIn = (words: string, keyId?: string) => aliasesOf(definition(pod(words)), "/m/p.yaml", false, keyId);
const arns = new Map([
  ["alias/a", arn(1)],
  ["alias/ab", arn(2)],
]);

describe("aliases of a plugin that somebody has set up", () => {
  it("found in each form of the flag, with the region of the alias, else the plugin's; ARNs and key ids are none", () => {
    const found = (words: string) => aliasesIn(words).map(({ alias, region }) => [alias, region]);
    for (const words of ["[--key=alias/a, --region=us-west-2]", "[-key, alias/a, --region, us-west-2]"])
      assert.deepEqual(found(words), [["alias/a", "us-west-2"]]);
    assert.deepEqual(found(`["--key=alias/a,${arn(3)}", --key, "${aliasArn}", --region=us-west-2]`), [
      ["alias/a", "us-west-2"],
      [aliasArn, "eu-west-1"],
    ]);
    assert.deepEqual(found("[--key=alias/a, --key=alias/a]"), [["alias/a", undefined]]);
    assert.deepEqual(found(`[--key=${arn(1)}, --key=1234abcd-12ab-34cd-56ef-1234567890ab, --name=alias/x]`), []);
  });

  it("in a script, in the plugin's own words alone, in a unit, or nobody knows where => for a person, with where and what", () => {
    const script = '[sh, -c, "exec aws-encryption-provider --key=alias/a --listen=/s"]';
    for (const [aliases, remedy] of [
      [aliasesIn(script), /write the ARN into \/m\/p\.yaml yourself, one host after the other/],
      [aliasesIn("[--config=/x]", "alias/a"), /write the ARN into \/m\/p\.yaml/],
      [aliasesIn('["--key=alias\\x2fa"]'), /write the ARN into \/m\/p\.yaml/],
      [aliasesOf(undefined, undefined, false, "alias/a"), /name its key by the ARN/],
    ] as const) {
      assert.deepEqual(
        aliases.map(({ alias }) => alias),
        ["alias/a"],
      );
      assert.match(aliases[0]?.byHand?.remedy ?? "", remedy);
    }
    const text = "[Service]\nExecStart=/usr/bin/aws-encryption-provider --key=alias/a --listen=/s\n";
    const manifest = parseUnit("p.service", text);
    assert.ok(manifest);
    const [unit] = aliasesOf({ fileName: "p.service", text, modifiedAt: 0, manifest }, "/u/p.service", true, undefined);
    assert.match(unit?.byHand?.reason ?? "", /systemd runs it/);
    assert.match(unit?.byHand?.remedy ?? "", /\/u\/p\.service, put it into force \(systemctl daemon-reload/);
    assert.equal(aliasesIn("[--key=alias/a]", "alias/a")[0]?.byHand, undefined);
    assert.deepEqual(aliasesIn("[--key=key]", "key"), []);
  });

  it("the ARN takes the alias's place and not a letter else changes, in every way to write it; else nothing is edited", () => {
    for (const [words, changed] of [
      ['[--key=alias/a, "--listen=/s"]', `[--key=${arn(1)}, "--listen=/s"]`],
      ['["--key=alias/ab,alias/a", --listen=/a,/b]', `["--key=${arn(2)},${arn(1)}", --listen=/a,/b]`],
      ["[--key, 'alias/a', --listen, /s]", `[--key, '${arn(1)}', --listen, /s]`],
      ["\n    - --key=alias/a # alias/a\n    - --listen=/s", `\n    - --key=${arn(1)} # alias/a\n    - --listen=/s`],
      ["[--key=alias/other, --note=alias/a]", "[--key=alias/other, --note=alias/a]"],
    ] as const)
      assert.equal(withKeyArns(pod(words), arns), pod(changed));
    for (const words of ['["--key=alias\\x2fa"]', "\n    - >-\n      --key=alias/ab,\n      x"]) {
      const edited = withKeyArns(pod(words), arns);
      assert.ok(edited === undefined || edited === pod(words), edited);
    }
    const json = JSON.stringify({ kind: "Pod", spec: { containers: [{ command: ["p", "--key=alias/a"] }] } }, null, 2);
    assert.equal(withKeyArns(json, arns), json.replace("alias/a", arn(1)));
  });
});

describe("what is behind an alias", () => {
  function resolver(answer: (name: string, region: string) => Promise<string>) {
    const asked: string[] = [];
    const names: AwsKeyNames = {
      arnOf: (name, region) => {
        asked.push(`${region} ${name}`);
        return answer(name, region);
      },
    };
    return { asked, resolve: aliasResolver(() => names) };
  }
  const alias = { alias: "alias/a", region: "us-west-2", arn: undefined };

  it("KMS is asked once for all hosts and looks, in the plugin's region", async () => {
    const { asked, resolve } = resolver(async () => arn(1));
    const seen = await Promise.all([resolve(alias, signal), resolve(alias, signal)]);
    assert.deepEqual(seen, [
      { ...alias, arn: arn(1) },
      { ...alias, arn: arn(1) },
    ]);
    await resolve({ ...alias, region: "eu-west-1" }, signal);
    assert.deepEqual(asked, ["us-west-2 alias/a", "eu-west-1 alias/a"]);
  });

  it("without a region, or an answer => the reason and what to do; a bug is no answer", async () => {
    const { asked, resolve } = resolver(() =>
      Promise.reject(new KmsEtcdError("not-found", "there is no such alias", { remedy: "list them" })),
    );
    const { region: _, ...nowhere } = alias;
    assert.match((await resolve(nowhere, signal)).problem?.remedy ?? "", /--region=REGION/);
    assert.deepEqual(asked, []);
    const { arn: found, problem } = await resolve(alias, signal);
    assert.equal(found, undefined);
    assert.deepEqual(problem, { reason: "there is no such alias", remedy: "list them" });
    await assert.rejects(resolver(() => Promise.reject(new TypeError("bug"))).resolve(alias, signal), TypeError);
  });
});
