#!/usr/bin/env node
/*
 * Stands in for the kops program where its own credentials are rotated: keypairs, secrets, groups and machines in a JSON file, and a record of
 * every command. What it takes and prints has the form of kops 1.36.2 (test/full/kops-credentials-moto.test.ts runs the real one);
 * arguments that it does not know fail, as kops' own parser does. A machine keeps what the last update told when it was made.
 *
 * KOPS_STAND_IN: the file. In it, `hold`: a command whose text contains it waits until that is taken out, or its parent is gone.
 */
const { appendFileSync, readFileSync, renameSync, writeFileSync } = require("node:fs");

const file = process.env.KOPS_STAND_IN;
const args = process.argv.slice(2);
const valued = new Set(["--name", "--state", "-o", "-f", "--instance-group", "--wait", "--count", "--kubeconfig"]);
const flags = new Set(["--yes", "--force", "--create-kube-config=false", "--short", "--distrusted"]);
const day = 86_400_000;

const read = () => JSON.parse(readFileSync(file, "utf8"));
const write = (state) => {
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
};
const say = (text) => process.stdout.write(text);
const refuse = (text) => {
  process.stderr.write(`Error: ${text}\n`);
  process.exit(1);
};

const words = [];
const given = new Map();
for (let index = 0; index < args.length; index += 1) {
  const word = args[index];
  if (valued.has(word)) given.set(word, args[(index += 1)]);
  else if (flags.has(word)) given.set(word, "true");
  else if (word.startsWith("--admin=")) given.set("--admin", word.slice("--admin=".length));
  else if (word.startsWith("-")) refuse(`unknown flag: ${word}`);
  else words.push(word);
}
const input = given.get("-f") === "-" ? readFileSync(0, "utf8") : undefined;
const [verb, what, subject, id] = words;

function keyset(state) {
  if (what === "keypair" && !(subject in state.keysets)) refuse("keyset not found");
  return state.keysets[subject];
}

function item(state) {
  return keyset(state).find((each) => each.id === id) ?? refuse("keypair not found");
}

/** What an update tells machines. */
const view = ({ keysets, secrets }) =>
  JSON.stringify([
    Object.entries(keysets).map(([name, all]) => [
      name,
      all.find(({ isPrimary }) => isPrimary).id,
      all.filter(({ distrustTimestamp }) => distrustTimestamp === undefined).map((each) => each.id),
    ]),
    secrets.ciliumpassword ?? "",
  ]);

const needsUpdate = (state, machine) => machine.told !== state.told;

const commands = {
  "version": () => say("1.36.2\n"),
  "get cluster": (state) =>
    say(JSON.stringify({ kind: "Cluster", metadata: { name: state.name }, spec: { kubernetesVersion: "1.36.0" } })),
  "get instancegroups": (state) =>
    say(
      JSON.stringify(
        Object.entries(state.groups).map(([name, role]) => ({ kind: "InstanceGroup", metadata: { name }, spec: { role } })),
      ),
    ),
  "get instances": (state) =>
    say(
      JSON.stringify(
        state.machines.map((machine) => ({
          id: machine.id,
          instanceGroup: `${machine.group}.${state.groups[machine.group] === "ControlPlane" ? "masters." : ""}${state.name}`,
          roles: [],
          status: needsUpdate(state, machine) ? "NeedsUpdate" : "UpToDate",
          internalIP: "10.0.0.1",
          externalIP: "",
        })),
      ),
    ),
  "get keypairs": (state) =>
    say(
      JSON.stringify(
        Object.entries(state.keysets).flatMap(([name, all]) =>
          all
            .filter(({ distrustTimestamp }) => given.has("--distrusted") || distrustTimestamp === undefined)
            .map((each) => ({ name, ...each, hasPrivateKey: true })),
        ),
      ),
    ),
  "create keypair": (state) => {
    const now = Date.now();
    const made = `${((BigInt(now) * 1_000_000n) << 32n) + BigInt(process.pid)}`;
    const until = new Date(now + 3650 * day).toISOString();
    keyset(state).push({ id: made, notBefore: new Date(now - 2 * day).toISOString(), notAfter: until });
    write(state);
    say(`Created ${subject} ${made}\n`);
  },
  "promote keypair": (state) => {
    if (item(state).distrustTimestamp !== undefined) refuse("keypair is distrusted");
    for (const each of keyset(state)) {
      if (each.id === id) each.isPrimary = true;
      else delete each.isPrimary;
    }
    write(state);
    say(`Promoted ${subject} ${id}\n`);
  },
  "distrust keypair": (state) => {
    if (item(state).isPrimary) refuse("cannot distrust the primary keypair");
    item(state).distrustTimestamp = new Date().toISOString();
    write(state);
    say(`Distrusted ${subject} ${id}\n`);
  },
  "trust keypair": (state) => {
    delete item(state).distrustTimestamp;
    write(state);
    say(`Trusted ${subject} ${id}\n`);
  },
  "get secrets": (state) => {
    if (state.secrets[subject] === undefined) refuse("no secrets found");
    say(`${state.secrets[subject]}\n`);
  },
  "create secret": (state) => {
    if (state.secrets[subject] !== undefined && !given.has("--force")) {
      refuse(`failed to create the ${subject} secret as it already exists. Pass the \`--force\` flag`);
    }
    state.secrets[subject] = input;
    write(state);
  },
  "update cluster": (state) => {
    if (given.has("--yes")) {
      state.told = view(state);
      write(state);
      return;
    }
    const tasks = state.told === view(state) ? [] : Object.keys(state.groups).map((name) => `ManagedFile/nodeupconfig-${name}`);
    say(["Will modify resources:", ...tasks.map((task) => `  ${task}\n  \tContents            \tx`), ""].join("\n"));
  },
  "rolling-update cluster": (state) => {
    if (!given.has("--yes")) refuse("the engine never asks for a dry run");
    const group = given.get("--instance-group") ?? refuse("the engine rolls one group at a time");
    if (state.refuseRoll === group) refuse(`error validating cluster after terminating instance: ${group}`);
    state.machines = state.machines.map((machine) => {
      if (machine.group !== group || !(given.has("--force") || needsUpdate(state, machine))) return machine;
      state.made += 1;
      return { id: `i-${state.made}`, group, told: state.told };
    });
    write(state);
  },
  "validate cluster": () => say(JSON.stringify({ nodes: [{ name: "i-0" }] }).repeat(2)),
  "export kubeconfig": (state) => {
    const all = state.keysets["kubernetes-ca"];
    const trusted = all.filter(({ distrustTimestamp }) => distrustTimestamp === undefined).map((each) => each.id);
    const data = Buffer.from(trusted.map((each) => `CERTIFICATE ${each}\n`).join("")).toString("base64");
    const cluster = { name: state.name, cluster: { "certificate-authority-data": data, server: "https://api.example" } };
    const issuer = all.find(({ isPrimary }) => isPrimary).id;
    const key = `PRIVATE-KEY-BY-${issuer}-FOR-${given.get("--admin")}`;
    const users = given.has("--admin") ? [{ name: state.name, user: { "client-key-data": key } }] : null;
    writeFileSync(given.get("--kubeconfig"), JSON.stringify({ apiVersion: "v1", kind: "Config", clusters: [cluster], users }));
  },
};

appendFileSync(`${file}.commands`, `${JSON.stringify(args)}\n`);
const command = verb === "version" ? verb : `${verb} ${what}`;
const carryOut = () => (commands[command] ?? (() => refuse(`unknown command "${command}"`)))(read());
const isHeld = () => read().hold !== undefined && args.join(" ").includes(read().hold);
if (command !== "version" && given.get("--name") !== read().name) refuse("--name is required");
if (isHeld()) {
  const parent = process.ppid;
  appendFileSync(`${file}.held`, "held\n");
  const timer = setInterval(() => {
    if (process.ppid !== parent) process.exit(1);
    if (isHeld()) return;
    clearInterval(timer);
    carryOut();
  }, 50);
} else carryOut();
