/**
 * The compiled engine as a process of its own, for tests that kill it or start a second one. It holds the cluster's Lease, says
 * what it does as lines of JSON, and its last line is the outcome. Arguments: the control plane's descriptor, the goal as JSON.
 */
const { closeCluster } = require("../../../dist/rotation/cluster.js");
const { openLocalCluster } = require("../../../dist/rotation/adapters/hosts/open-local-cluster.js");
const { runRotationAlone } = require("../../../dist/rotation/run-alone.js");

const [descriptor, goal] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function main() {
  const cluster = await openLocalCluster(descriptor);
  const { fleet, stored, alone } = cluster;
  const signal = new AbortController().signal;
  const onEvent = (event) => say({ event });
  const outcome = await runRotationAlone({ goal: JSON.parse(goal), fleet, stored, onEvent, signal }, alone);
  await closeCluster(cluster);
  say({ outcome });
}

void main();
