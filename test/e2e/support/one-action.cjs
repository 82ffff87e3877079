/**
 * One life of the engine for the kill tests: a process of the compiled engine that looks, decides, carries out a single action,
 * and then gets SIGKILL from its own hand, with no chance to tidy up. Exits 0 only where nothing is left to do.
 * Arguments: the control plane's descriptor, the goal as JSON, and what to die after (`act`, or `mid` for in the middle).
 */
const { readFileSync } = require("node:fs");
const { createLocalFleet, createLocalStoredObjects } = require("../../../dist/rotation/adapters/hosts/local-fleet.js");
const { runRotation } = require("../../../dist/rotation/run.js");

const [descriptor, goal, dieAfter] = process.argv.slice(2);
const controlPlane = JSON.parse(readFileSync(descriptor, "utf8"));
const die = () => process.kill(process.pid, "SIGKILL");

async function main() {
  const fleet = createLocalFleet(controlPlane);
  const stored = createLocalStoredObjects(controlPlane, fleet);
  const outcome = await runRotation({
    goal: JSON.parse(goal),
    fleet,
    stored,
    maxActions: 1,
    onEvent: (event) => {
      if (event.kind === "action") process.stdout.write(`${event.message}\n`);
      // Rewriting reports as it goes: dying there leaves some objects with the old key and some with the new one.
      if (dieAfter === "mid" && event.kind === "progress" && event.message === "objects rewritten") die();
    },
    signal: new AbortController().signal,
  });
  if (outcome.kind === "done") {
    await Promise.all([stored.close(), fleet.close()]);
    process.stdout.write("done\n");
    return;
  }
  process.stdout.write(`${outcome.kind} ${outcome.reason ?? ""}\n`);
  die();
}

void main();
