/**
 * Runs the tests by tier and closes with one line that counts them all: `N passed, N failed, N skipped`.
 *   node test/run.mjs unit          seconds, no downloads, everything in this process's machine
 *   node test/run.mjs e2e           real kube-apiserver, etcd and Pulumi CLI, which it gets first; several files side by side
 *   node test/run.mjs full          what is long, or needs root, Python or more tools
 * Several tiers may be named. The tests are in test/**, those of the last two tiers in test/e2e/ and test/full/.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const mocha = join(project, "node_modules", "mocha", "bin", "mocha.js");
const fileTimes = ["--require", join(project, "test", "support", "file-times.cjs")];
const tiers = {
  unit: { specs: () => ["test/!(e2e|full)/**/*.test.ts"], options: [] },
  // They mostly wait for API servers, so more run at once than there are cores. The longest begin first.
  e2e: {
    specs: () =>
      longestFirst("test/e2e", [
        "rotation-hot-reload",
        "rotation-rollback-hot-reload",
        "pulumi-kill",
        "rotation-faults",
        "rotation-kill",
        "ssh-faults",
        "pulumi-rollout",
        "rotation-faults-hot-reload",
        "ssh-rotation",
        "ssh-pulumi",
        "kops-credentials",
        "cli",
      ]),
    options: ["--parallel", "--jobs", "3", "--timeout", "1200000", ...fileTimes],
    tools: ["etcd", "kube-apiserver", "kube-controller-manager", "pulumi"],
  },
  full: {
    specs: () =>
      longestFirst("test/full", [
        "tutorial",
        "kubelets-faults",
        "kubelets",
        "kops-machines",
        "transitions",
        "runbooks",
        "older-api-server-rotation",
        "rotation-faults-killed",
      ]),
    options: ["--parallel", "--jobs", "2", "--timeout", "2400000", ...fileTimes],
    tools: ["etcd", "kube-apiserver", "kube-apiserver-1.31", "kubectl", "pulumi"],
  },
};

/** What a process may take to end once its tests are counted. One that takes longer has left something open, and would hang for ever. */
const longestEnd = 60_000;

const chosen = process.argv.slice(2);
const unknown = chosen.filter((tier) => !(tier in tiers));
if (chosen.length === 0 || unknown.length > 0) {
  process.stderr.write(
    `error: name tiers out of ${Object.keys(tiers).join(", ")}; got ${chosen.join(" ") || "none"}\n`,
  );
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const results = mkdtempSync(join(tmpdir(), "kms-etcd-tests-"));
let broken = false;
try {
  // Unit tests get nothing by themselves; what is there already they use, to hold bodies for Azure against.
  if (chosen.some((tier) => tier !== "unit")) {
    await run(["-r", "ts-node/register/transpile-only", "test/fakes/arm/get-models.ts"]);
  }
  for (const tier of chosen) {
    const { specs, options, tools = [] } = tiers[tier];
    if (tools.length > 0 && (await run([join(project, "dist", "tools", "main.js"), "install", ...tools])) !== 0) {
      process.stderr.write(`error: the ${tier} tests need ${tools.join(", ")}\n`);
      broken = true;
      break;
    }
    const file = join(results, `${tier}.json`);
    const times = join(results, `${tier}.times`);
    const begun = Date.now();
    const code = await run([mocha, ...options, "--reporter", "test/support/counting-reporter.cjs", ...specs()], {
      KMS_ETCD_TEST_COUNTS: file,
      KMS_ETCD_TEST_TIMES: times,
    });
    try {
      const tally = JSON.parse(readFileSync(file, "utf8"));
      for (const name of Object.keys(counts)) counts[name] += tally[name];
      if (code !== 0 && tally.failed === 0) broken = true;
    } catch {
      broken = true; // mocha ended before it could count
    }
    process.stdout.write(`${tier} tests took ${Math.round((Date.now() - begun) / 1_000)} s${slowest(times)}\n`);
  }
} finally {
  rmSync(results, { recursive: true, force: true });
}
if (broken) counts.failed += 1;
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed > 0 ? 1 : 0;

/** The test files of a folder, those in `names` before the others. A name without a file is a mistake here. */
function longestFirst(folder, names) {
  const suffix = ".test.ts";
  const files = readdirSync(join(project, folder)).filter((file) => file.endsWith(suffix));
  const rank = (file) => {
    const at = names.indexOf(file.slice(0, -suffix.length));
    return at < 0 ? names.length : at;
  };
  const missing = names.filter((name) => !files.includes(`${name}${suffix}`));
  if (missing.length > 0) throw new Error(`${folder} has no ${missing.join(", ")}`);
  return files.sort((a, b) => rank(a) - rank(b)).map((file) => `${folder}/${file}`);
}

/** Which files took longest: where to look when the whole takes too long. */
function slowest(file) {
  let lines;
  try {
    lines = readFileSync(file, "utf8").trim().split("\n");
  } catch {
    return ""; // a tier that runs in one process has no times by file
  }
  const times = lines.map((line) => JSON.parse(line)).sort((a, b) => b.seconds - a.seconds);
  return `: ${times
    .slice(0, 8)
    .map(({ file: name, seconds }) => `${name} ${seconds} s`)
    .join(", ")}`;
}

/** Runs a Node script to its end; ^C and SIGTERM reach it too. */
function run(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: project, stdio: "inherit", env: { ...process.env, ...env } });
    const forward = (signal) => child.kill(signal);
    process.once("SIGTERM", forward);
    let countedAt;
    const watch = setInterval(() => {
      if (env.KMS_ETCD_TEST_COUNTS === undefined || !existsSync(env.KMS_ETCD_TEST_COUNTS)) return;
      countedAt ??= Date.now();
      if (Date.now() - countedAt < longestEnd) return;
      clearInterval(watch);
      process.stderr.write("error: the tests have ended and their process has not: a test has left something open\n");
      child.kill("SIGKILL");
    }, 1_000);
    child.once("error", reject);
    child.once("exit", (code) => {
      clearInterval(watch);
      process.off("SIGTERM", forward);
      resolve(code ?? 1);
    });
  });
}
