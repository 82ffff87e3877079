import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fleet } from "../../../rotation/fleet";
import type { StoredObjects } from "../../../rotation/stored-objects";
import { manualClock } from "../manual-clock";
import { identity, memoryLease } from "../memory-lease";
import { randomFrom } from "../random";
import { type SimulatedCluster, simulateCluster } from "../simulated-cluster";
import { type SimulatedCli, simulatedCli } from "./simulated-cli";

describe("kms-etcd on a simulated cluster", function () {
  this.timeout(20_000);
  let cluster: SimulatedCluster;
  let cli: SimulatedCli;
  beforeEach(() => {
    cluster = simulateCluster({ hosts: 2, reload: "hot", objects: 10, clients: false, random: randomFrom(3) });
    cli = simulatedCli(cluster);
  });
  afterEach(() => cli.close());

  const at = (command: string, ...more: string[]) => cli.run(command, ...more, ...cli.settings);

  describe("status", () => {
    it("a plaintext cluster => servers, what is loaded, no plugin, all objects with identity; in order, 0", async () => {
      const { code, stdout } = await at("status");
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^cluster +the simulated cluster$/m);
      assert.match(stdout, /^cp1 +v1\.36\.3 +ready +automatic +sha256:[0-9a-f]{12} +simulated$/m);
      assert.match(stdout, /^cp2 +secrets +identity$/m);
      assert.match(stdout, /^no plugin on any server$/m);
      assert.match(stdout, /^secrets +identity +- +10 +current$/m);
      assert.match(stdout, /^in order/m);
    });

    it("a key writes, and one object came back in plaintext => stale, pending, 3", async () => {
      assert.equal((await at("rotate", "1", "--allow-plaintext-reads")).code, 0);
      cluster.restore("s1", "identity", undefined);
      const { code, stdout } = await at("status");
      assert.equal(code, 3);
      assert.match(stdout, /^secrets +kms\/v2\/kms-etcd-[0-9a-f]{12} \(key version 1\) +local-\w+ +9 +current$/m);
      assert.match(stdout, /^secrets +identity +- +1 +stale$/m);
      assert.match(stdout, /^cp1 +secrets +kms\S+ \(key version 1\), identity$/m);
      assert.match(stdout, /^cp1 +kms-etcd-\w+ \(key version 1\) +healthy +local-\w+$/m);
      assert.match(stdout, /^pending: 1 secrets are stored with a key that no server writes with$/m);
    });

    it("--metrics => counts by key and state, loaded hashes and plugins, in a file that is replaced as a whole", async () => {
      assert.equal((await at("rotate", "1", "--allow-plaintext-reads")).code, 0);
      cluster.restore("s1", "identity", undefined);
      const file = join(cli.directory, "kms-etcd.prom");
      writeFileSync(file, "of an earlier run");
      assert.equal((await at("status", "--metrics", file)).code, 3);
      const text = readFileSync(file, "utf8");
      assert.match(text, /^kms_etcd_server_up\{server="cp1",version="v1.36.3"\} 1$/m);
      assert.match(text, /^kms_etcd_server_loaded_config_info\{server="cp2",hash="sha256:[0-9a-f]{64}"\} 1$/m);
      assert.match(text, /^kms_etcd_server_plugin_usable\{server="cp1",plugin="kms-etcd-\w+"\} 1$/m);
      assert.match(text, /^kms_etcd_stored_objects\{resource="secrets",provider="kms[^}]+state="current"\} 9$/m);
      assert.match(
        text,
        /^kms_etcd_stored_objects\{resource="secrets",provider="identity",key_id="",state="stale"\} 1$/m,
      );
      assert.match(text, /^kms_etcd_pending 1$/m);
      const { code, stderr } = await at("status", "--metrics", "/no/such/directory/file");
      assert.equal(code, 1);
      assert.match(stderr, /can't be written \(ENOENT\)\nremedy: name a file/);
    });

    it("a server that is away, and one that nobody listed => what to mend, 4", async () => {
      const [, second] = cluster.hosts;
      if (second) second.downUntil = Number.POSITIVE_INFINITY;
      cluster.unlisted.push("cp9");
      const { code, stdout } = await at("status");
      assert.equal(code, 4);
      assert.match(stdout, /^cp2 .*connection refused/m);
      assert.match(stdout, /^mend: +cp9 is live but not listed$/m);
    });

    it("--json => the same for scripts, with null for what is not known and nothing of a local provider's key", async () => {
      const [first] = cluster.hosts;
      const provider = { kind: "aescbc", keys: [{ name: "k1", secret: "c2VjcmV0LWtleS1tYXRlcmlhbA==" }] } as const;
      const config = { blocks: [{ resources: ["secrets"], providers: [provider, { kind: "identity" } as const] }] };
      if (first) Object.assign(first, { config, loaded: config });
      const { code, document } = await cli.json("status", ...cli.settings);
      assert.equal(code, 3);
      assert.doesNotMatch(JSON.stringify(document), /c2VjcmV0/);
      assert.deepEqual(document["pending"], ["the servers do not have the same providers"]);
      assert.equal(document["engine"], null);
      const [server] = document["servers"] as Record<string, unknown>[];
      assert.deepEqual(server?.["blocks"], [
        {
          resources: ["secrets"],
          providers: [
            { provider: "aescbc/k1", keyVersion: null },
            { provider: "identity", keyVersion: null },
          ],
        },
      ]);
    });
  });

  describe("plan", () => {
    it("changes => a row a stage with servers, restarts, objects and time, and 3; nothing is done", async () => {
      const { code, stdout } = await at("plan", "1");
      assert.equal(code, 3, stdout);
      assert.match(stdout, /^stored now +10 secrets \(10 identity\)$/m);
      const stages = [...stdout.matchAll(/^(Plugin|Read|Write|Rewrite|Verify|Prune) /gm)].map((match) => match[1]);
      assert.deepEqual(stages, ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"]);
      assert.match(stdout, /^Read +cp1, cp2 +0 +- +- +1 min 0 s +every server must read/m);
      assert.match(stdout, /^Rewrite +- +- +10 +10 +0 s +10 objects use another key$/m);
      assert.equal(cluster.effects(), 0);
    });

    it("nothing to do => 0; held after a stage => only the stages up to it", async () => {
      assert.equal((await at("rotate", "1")).code, 0);
      const done = await at("plan", "1");
      assert.deepEqual([done.code, done.stdout.includes("nothing to do: the cluster is at key version 1")], [0, true]);
      const held = await at("plan", "2", "--advance-to", "read");
      assert.match(held.stdout, /^Read /m);
      assert.doesNotMatch(held.stdout, /^(Write|Verify|Prune) /m);
    });

    it("restarting servers => restarts are counted in the stage that they are for", async () => {
      cluster = simulateCluster({ hosts: 2, reload: "restart", objects: 5, random: randomFrom(4) });
      cli.close();
      cli = simulatedCli(cluster);
      const { document, code } = await cli.json("plan", "1", ...cli.settings);
      assert.equal(code, 3);
      assert.deepEqual(
        (document["stages"] as { stage: string; restarts: number }[]).map(({ stage, restarts }) => [stage, restarts]),
        [
          ["Plugin", 0],
          ["Read", 2],
          ["Write", 2],
          ["Rewrite", 0],
          ["Prune", 2],
        ],
      );
      assert.match((await at("plan", "1")).stdout, /^about .*, 6 restarts; /m);
    });

    it("blocked as things are => why, what to do, and 4", async () => {
      cluster.unlisted.push("cp9");
      const { code, stdout } = await at("plan", "1");
      assert.equal(code, 4);
      assert.match(stdout, /^blocked: API server cp9 is live but not listed/m);
      assert.match(stdout, /^remedy: +add it to the list/m);
    });

    it("--json => stages and counts, and no configuration of any server", async () => {
      const { code, document } = await cli.json("plan", "1", ...cli.settings);
      assert.equal(code, 3);
      assert.deepEqual([document["changes"], document["target"], document["blocked"]], [true, 1, null]);
      assert.equal(document["observed"], undefined);
    });
  });

  describe("rotate", () => {
    it("enable, rotate, roll back, disable => 0 each, with evidence; progress stays on stderr", async () => {
      for (const target of ["1", "2", "1", "identity"]) {
        const { code, stdout, stderr } = await at("rotate", target);
        assert.equal(code, 0, stderr);
        const goal = target === "identity" ? "identity (plaintext)" : `key version ${target}`;
        assert.ok(stdout.startsWith("done in "), stdout);
        assert.ok(stdout.includes(`: the cluster is at ${goal}\n`), stdout);
        assert.match(stdout, /^secrets: 10 objects, 10 with (kms\/v2\/\S+ key_id local-\w+|identity)$/m);
        assert.match(stdout, /^proven complete: every stored value read in etcd, /m);
        assert.match(stderr, /^\[2\/6\] Read: /m);
        assert.match(stderr, /^\[6\/6\] Prune done in \d+ s$/m);
        assert.doesNotMatch(stdout, /\[\d\/6\]/);
      }
      const providers = new Set([...cluster.objects.values()].map((object) => object.provider));
      assert.deepEqual([...providers], ["identity"]);
    });

    it("held after WRITE => 0, and says that it is held; going on => 0", async () => {
      const held = await at("rotate", "1", "--advance-to", "Write");
      assert.equal(held.code, 0);
      assert.match(held.stdout, /the cluster is at key version 1, held after Write/);
      assert.equal((await at("verify", "1")).code, 3);
      assert.equal((await at("rotate", "1")).code, 0);
    });

    it("blocked => 4, with reason and remedy", async () => {
      cluster.faults.rejectedObject = "s3";
      const { code, stdout, stderr } = await at("rotate", "1");
      assert.equal(code, 4);
      assert.match(stdout, /^blocked in Rewrite: 1 object could not be written again .*denied by a webhook/m);
      assert.match(stdout, /^remedy: mend what refuses the write/m);
      assert.match(stderr, /secrets default\/s3 was not rewritten/, "who has to mend it is told which object it is");
    });

    it("another engine at work => 4 and its name; --break-lease => takes over", async () => {
      const clock = manualClock();
      const lease = memoryLease(clock);
      lease.put("them, process 3 [x]", clock.now());
      cli.close();
      const alone = { lease, identity: identity("us", { alive: ["them, process 3 [x]"] }), clock };
      cli = simulatedCli(cluster, { alone });
      const refused = await at("rotate", "1");
      assert.equal(refused.code, 4);
      assert.match(refused.stdout, /another engine is at work on this cluster: them, process 3/);
      assert.equal(cluster.effects(), 0);
      const status = await at("status");
      assert.match(status.stdout, /^engine +them, process 3, since 1970-/m);
      assert.equal((await at("plan", "1")).code, 3, "looking needs no leave");
      const taken = await at("rotate", "1", "--break-lease");
      assert.equal(taken.code, 0, taken.stderr);
      assert.match(taken.stderr, /took the Lease from them, process 3/);
    });

    it("^C in the middle => 130 at a safe point, and the same command goes on", async () => {
      const stop = new AbortController();
      const interrupted: Fleet = {
        ...cluster.fleet,
        async writeConfig(write) {
          await cluster.fleet.writeConfig(write);
          stop.abort();
        },
      };
      cli.close();
      cli = simulatedCli({ ...cluster, fleet: interrupted }, { signal: stop.signal });
      const { code, stdout } = await at("rotate", "1");
      assert.equal(code, 130);
      assert.match(stdout, /^stopped in Read: stopped at a safe point; run again to go on$/m);
      cluster.checkReadable("after ^C");
      cli.close();
      cli = simulatedCli(cluster);
      assert.equal((await at("rotate", "1")).code, 0);
    });
  });

  describe("rewrite and verify", () => {
    it("verify at the goal => 0 with evidence; without a target it is the key that the servers encrypt with", async () => {
      await at("rotate", "2");
      const { code, stdout } = await at("verify");
      assert.equal(code, 0);
      assert.match(stdout, /^done in \d+ s: every stored object uses key version 2$/m);
      assert.match(stdout, /^proven complete/m);
    });

    it("verify without a way to etcd => says that it writes, and keeps a second engine out; with one, neither", async () => {
      const clock = manualClock();
      const lease = memoryLease(clock);
      const holders = new Set<string | undefined>();
      const alone = { lease, identity: identity("us"), clock };
      const stored: StoredObjects = {
        ...cluster.stored,
        measure: (...given) => {
          holders.add(lease.record?.holder);
          return cluster.stored.measure(...given);
        },
      };
      const everything = async () => ({ keys: [], unknown: 0 });
      const byEtcd = simulatedCli({ ...cluster, stored: { ...stored, countEverything: everything } }, { alone });
      const byApi = simulatedCli({ ...cluster, stored }, { alone });
      assert.equal((await at("rotate", "1")).code, 0);
      const read = await byEtcd.run("verify", "1", ...cli.settings);
      assert.deepEqual([read.code, [...holders]], [0, [undefined]], read.stderr);
      assert.doesNotMatch(read.stderr, /no-op write/);
      holders.clear();
      const written = await byApi.run("verify", "1", ...cli.settings);
      assert.deepEqual([written.code, [...holders]], [0, ["us"]], written.stderr);
      assert.match(
        written.stderr,
        /^without a way to etcd every object is offered for a no-op write; stale ones are rew/m,
      );
      lease.put("them, process 3 [x]", clock.now());
      const others = simulatedCli(
        { ...cluster, stored },
        { alone: { ...alone, identity: identity("us", { alive: ["them, process 3 [x]"] }) } },
      );
      assert.equal((await others.run("verify", "1", ...cli.settings)).code, 4);
      for (const one of [byEtcd, byApi, others]) one.close();
    });

    it("verify elsewhere => 3, what is missing and the command for it; nothing was changed", async () => {
      await at("rotate", "1");
      const effects = cluster.effects();
      const { code, stdout } = await at("verify", "2");
      assert.equal(code, 3);
      assert.match(stdout, /^not at key version 2: /m);
      assert.match(stdout, /^remedy: run kms-etcd rotate 2$/m);
      assert.equal(cluster.effects(), effects);
    });

    it("a stale object => verify counts it and changes nothing; rewrite writes it again; then verify is content", async () => {
      await at("rotate", "1", "--allow-plaintext-reads");
      cluster.restore("s1", "identity", undefined);
      const effects = cluster.effects();
      const stale = await at("verify", "1");
      assert.equal(stale.code, 3);
      assert.match(
        stale.stdout,
        /^secrets: 10 objects, (9 with kms\S+ key_id \S+, 1 with identity|1 with identity, 9 .*)$/m,
      );
      assert.equal(cluster.effects(), effects);
      const rewritten = await at("rewrite");
      assert.equal(rewritten.code, 0, rewritten.stderr);
      assert.equal(cluster.effects(), effects + 1);
      assert.equal((await at("verify", "1")).code, 0);
    });

    it("rewrite where servers write with another key => 3, no configuration was touched", async () => {
      await at("rotate", "1");
      const effects = cluster.effects();
      const { code, stdout } = await at("rewrite", "2");
      assert.deepEqual([code, stdout.includes("run kms-etcd rotate 2")], [3, true]);
      assert.equal(cluster.effects(), effects);
    });

    it("the servers encrypt with a key that is not declared => 1, naming the way out", async () => {
      await at("rotate", "2");
      const { code, stderr } = await cli.run("verify", "--control-plane", "x", "--key", `1=${cli.keyFile(1)}`);
      assert.equal(code, 1);
      assert.match(stderr, /^error: the servers do not all encrypt with one of the declared keys$/m);
      assert.match(stderr, /^remedy: name the key version/m);
    });
  });

  describe("reports", () => {
    function keyPair() {
      const pair = generateKeyPairSync("ed25519");
      const privateFile = join(cli.directory, "private.pem");
      const publicFile = join(cli.directory, "public.pem");
      writeFileSync(privateFile, pair.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      writeFileSync(publicFile, pair.publicKey.export({ type: "spki", format: "pem" }));
      return { privateFile, publicFile };
    }
    const reportFile = () => join(cli.directory, "report.json");
    const verifyReport = (publicFile: string, ...more: string[]) =>
      cli.run("verify-report", reportFile(), "--public-key", publicFile, ...more);

    it("signed => verify-report is 0 and shows before and after; changed => 5", async () => {
      const { privateFile, publicFile } = keyPair();
      await at("rotate", "1");
      const { code, stderr } = await at("rotate", "2", "--report", reportFile(), "--sign-with", privateFile);
      assert.equal(code, 0);
      assert.match(stderr, /^report: \S+ \(signed with sha256:[0-9a-f]{64}\)$/m);
      const good = await verifyReport(publicFile);
      assert.equal(good.code, 0);
      assert.match(good.stdout, /^good: signed with sha256:/);
      assert.match(good.stdout, /^before:\n {2}secrets: 10 objects, 10 with kms\S+ key_id (local-\w+)$/m);
      assert.match(good.stdout, /^after:\n {2}secrets: 10 objects, 10 with kms\S+ key_id (local-\w+)$/m);
      const envelope = JSON.parse(readFileSync(reportFile(), "utf8")) as { payload: string };
      const changed = Buffer.from(envelope.payload, "base64").toString().replace('"objects":10', '"objects":99');
      writeFileSync(reportFile(), JSON.stringify({ ...envelope, payload: Buffer.from(changed).toString("base64") }));
      const bad = await verifyReport(publicFile, "--json");
      assert.equal(bad.code, 5);
      assert.equal((JSON.parse(bad.stdout) as { trusted: boolean }).trusted, false);
    });

    it("not signed => says so when written and when checked, 5", async () => {
      const { publicFile } = keyPair();
      const { stderr } = await at("rotate", "1", "--report", reportFile());
      assert.match(stderr, /^report: \S+ \(not signed\)$/m);
      const { code, stdout } = await verifyReport(publicFile);
      assert.deepEqual([code, stdout.startsWith("not to be trusted: it is not signed")], [5, true]);
    });

    it("a run that was blocked => a report of that", async () => {
      const { privateFile, publicFile } = keyPair();
      cluster.unlisted.push("cp9");
      assert.equal((await at("rotate", "1", "--report", reportFile(), "--sign-with", privateFile)).code, 4);
      const { code, stdout } = await verifyReport(publicFile);
      assert.equal(code, 0, "the signature is good, whatever it says");
      assert.match(stdout, /blocked \(API server cp9 is live but not listed/);
    });

    it("a key that others can read, a report that is there already => refused before the cluster is touched", async () => {
      const { privateFile, publicFile } = keyPair();
      const open = await at("rotate", "1", "--report", reportFile(), "--sign-with", publicFile);
      assert.equal(open.code, 1);
      assert.match(open.stderr, /public\.pem has mode 0644.*\nremedy: run chmod 600/);
      writeFileSync(reportFile(), "someone's");
      const existing = await at("rotate", "1", "--report", reportFile(), "--sign-with", privateFile);
      assert.equal(existing.code, 1);
      assert.match(existing.stderr, /report\.json is there already/);
      assert.equal((await at("rotate", "1", "--sign-with", privateFile)).code, 2);
      assert.equal((await at("rotate", "1", "--report", join(cli.directory, "no", "r.json"))).code, 1);
      assert.equal(cluster.effects(), 0);
    });
  });

  describe("the command line", () => {
    it("help => 0 with the exit codes; no command, an unknown one, an unknown flag or stage => 2", async () => {
      const help = await cli.run("--help");
      assert.equal(help.code, 0);
      assert.match(help.stdout, /130 +stopped by \^C/);
      assert.equal((await cli.run("--version")).stdout, "0.0.0-test\n");
      for (const args of [[], ["turn"], ["status", "--colour"], ["rotate"], ["verify-report", "x"]]) {
        assert.equal((await cli.run(...args)).code, 2, args.join(" "));
      }
      assert.equal((await at("plan", "1", "--advance-to", "Sideways")).code, 2);
    });

    it("a target that is not declared => 2, naming the declared ones, before anything is looked at", async () => {
      const { code, stderr } = await at("rotate", "7");
      assert.equal(code, 2);
      assert.match(stderr, /^error: the target is "7"; write a declared key version \(1, 2\), or identity/);
    });
  });

  it("keys in clouds, named in a file => every command that takes a cluster works with them", async () => {
    const file = join(cli.directory, "clouds.yaml");
    writeFileSync(
      file,
      `local: {}
keys:
  - version: 1
    azure: { vaultName: k8skv, keyName: k8s, keyVersion: 5cdf48ea6bb9456ebf637e1130b7751a }
  - version: 2
    aws: { keyArn: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
`,
    );
    const on = (command: string, ...more: string[]) => cli.run(command, ...more, "--config", file);
    for (const [code, command, ...more] of [
      [0, "status"],
      [3, "plan", "1"],
      [0, "rotate", "1"],
      [0, "rotate", "2"],
      [0, "rewrite"],
      [0, "verify"],
    ] as const) {
      const done = await on(command, ...more);
      assert.equal(done.code, code, `${command}: ${done.stdout}${done.stderr}`);
    }
    assert.match((await on("status")).stdout, /^secrets +kms\S+ \(key version 2\) +arn:aws:kms:\S+ +10 +current$/m);
    const retired = await on("retire", "2");
    assert.equal(retired.code, 4);
    assert.match(retired.stderr, /it is the key that encrypts/);
  });

  it("retire and reinstate => refused with what needs the key, done where nothing does, and taken back", async () => {
    await at("rotate", "1");
    const needed = await at("retire", "1");
    assert.equal(needed.code, 4);
    assert.match(needed.stderr, /key version 1 is not retired: it is the key that encrypts/);
    await at("rotate", "2");
    const retired = await at("retire", "1");
    assert.deepEqual([retired.code, existsSync(cli.keyFile(1))], [0, false], retired.stderr);
    assert.match(retired.stdout, /^key version 1 \(local key local-[0-9a-f]{32}\) is retired$/m);
    assert.equal((await at("status")).code, 0, "a retired version stays declared");
    const back = await at("reinstate", "1");
    assert.deepEqual([back.code, existsSync(cli.keyFile(1))], [0, true]);
  });

  describe("retire beside other engines", () => {
    const everything = async () => ({ keys: [], unknown: 0 });

    /** At version 2, so that nothing needs version 1, and every look is one into etcd. */
    async function withLease() {
      await at("rotate", "1");
      await at("rotate", "2");
      cli.close();
      const clock = manualClock();
      const lease = memoryLease(clock);
      const alive = { alive: ["them, process 3 [x]"] };
      const stored: StoredObjects = { ...cluster.stored, countEverything: everything };
      cli = simulatedCli({ ...cluster, stored }, { alone: { lease, identity: identity("us", alive), clock } });
      return { lease, clock };
    }

    it("no Lease to be had => refused, and the key stays; --without-lease => done without", async () => {
      const { lease } = await withLease();
      lease.problem = "cp1: ECONNREFUSED";
      const { code, stdout, stderr } = await at("retire", "1");
      assert.deepEqual([code, stdout, existsSync(cli.keyFile(1))], [4, "", true], stderr);
      assert.match(stderr, /^error: no key is retired without the Lease .*ECONNREFUSED$/m);
      assert.match(stderr, /^remedy: .*--without-lease/m);
      const without = await at("retire", "1", "--without-lease");
      assert.deepEqual([without.code, existsSync(cli.keyFile(1))], [0, false], without.stderr);
    });

    it("another engine at work => refused; --break-lease => takes over", async () => {
      const { lease, clock } = await withLease();
      lease.put("them, process 3 [x]", clock.now());
      const { code, document } = await cli.json("retire", "1", ...cli.settings);
      assert.deepEqual([code, document["outcome"], existsSync(cli.keyFile(1))], [4, "blocked", true]);
      assert.match(String(document["reason"]), /^another engine is at work on this cluster: them, process 3/);
      const taken = await cli.json("retire", "1", "--break-lease", ...cli.settings);
      assert.deepEqual([taken.code, existsSync(cli.keyFile(1))], [0, false]);
      const done = { command: "retire", version: 1, outcome: "done", exitCode: 0, reason: null, remedy: null };
      assert.deepEqual(taken.document, done);
      const back = await cli.json("reinstate", "1", ...cli.settings);
      assert.deepEqual([back.code, back.document], [0, { ...done, command: "reinstate" }]);
    });
  });

  it("an error with --json => one document with the reason on stdout, the same words on stderr, the same exit code", async () => {
    const wrong = await cli.json("plan", "7", ...cli.settings);
    assert.deepEqual(
      [wrong.code, wrong.document["outcome"], wrong.document["exitCode"], wrong.document["remedy"]],
      [2, "error", 2, null],
    );
    const [problem] = wrong.document["problems"] as { path: string; reason: string }[];
    assert.equal(problem?.path, "the target");
    assert.equal((await cli.json("status", "--colour")).code, 2);
    const missing = await cli.json("verify-report", "/no/such/file", "--public-key", "/no/such/key");
    assert.deepEqual([missing.code, missing.document["problems"]], [1, []]);
    assert.match(String(missing.document["reason"]), /\/no\/such\/key cannot be read \(ENOENT\)/);
    const plain = await at("plan", "7");
    assert.deepEqual([plain.code, plain.stdout], [2, ""]);
    const help = await cli.run("status", "--json", "--help");
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: kms-etcd status/);
    assert.doesNotMatch(help.stdout, /"outcome"/);
  });
});
