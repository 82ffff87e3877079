/**
 * Runs a compiled script of this project on a fresh clone: `node tools/bootstrap.mjs dist/control-plane/main.js [args...]`.
 * Installs the npm packages when package-lock.json asks for others than are there, compiles when a source is newer than
 * what was compiled, and then becomes the script, as far as signals and the exit code go. Node's own modules only.
 */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(project, "package-lock.json");
const installedList = join(project, "node_modules", ".package-lock.json");
/** Written after a compilation without errors; its time is the compilation's start, so what changed meanwhile counts as newer. */
const buildStamp = join(project, "dist", ".kms-etcd-built");
const bootstrapLock = join(project, ".kms-etcd", "bootstrap.lock");
const sourceFolders = [
  "core",
  "rotation",
  "provider",
  "components",
  "plugin-server",
  "control-plane",
  "tools",
  "examples",
];

/** Ends this process when a step fails: what it printed says why. */
async function step(what, command, args) {
  const begun = Date.now();
  process.stderr.write(`${what}\n`);
  const seconds = () => Math.round((Date.now() - begun) / 1000);
  const timer = setInterval(() => process.stderr.write(`${what} (${seconds()} s)\n`), 5_000);
  const { code, signal } = await run(command, args);
  clearInterval(timer);
  if (code === 0) return;
  process.stderr.write(
    `error: ${what} ended with ${signal ?? `exit code ${code}`} after ${seconds()} s: ${command} ${args.join(" ")}\n`,
  );
  process.exit(code ?? 1);
}

/** Signals that we get go to the child; what it makes of them decides. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: process.cwd(), stdio: "inherit", shell: process.platform === "win32" });
    // A terminal sends ^C to the child by itself; SIGTERM comes to us alone.
    const forward = (signal) => child.kill(signal);
    const ignore = () => undefined;
    process
      .on("SIGTERM", forward)
      .on("SIGHUP", forward)
      .on("SIGINT", process.stdin.isTTY ? ignore : forward);
    child.once("error", (error) => {
      process.stderr.write(`error: ${command} can't be started: ${error.message}\n`);
      resolve({ code: 127, signal: null });
    });
    child.once("close", (code, signal) => {
      process.off("SIGTERM", forward).off("SIGHUP", forward).off("SIGINT", ignore).off("SIGINT", forward);
      resolve({ code, signal });
    });
  });
}

/** Two runs at once, on a fresh clone: one prepares, the other waits. A lock whose owner has died is taken over. */
async function lock() {
  mkdirSync(dirname(bootstrapLock), { recursive: true });
  for (let waited = 0; ; waited += 1) {
    try {
      writeFileSync(bootstrapLock, String(process.pid), { flag: "wx" });
      const release = () => unlinkSync(bootstrapLock);
      process.once(
        "exit",
        () => existsSync(bootstrapLock) && readFileSync(bootstrapLock, "utf8") === String(process.pid) && release(),
      );
      return release;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = Number(readIfThere(bootstrapLock) ?? 0);
    if (owner > 0 && !isAlive(owner)) unlinkSync(bootstrapLock);
    else if (waited % 5 === 0)
      process.stderr.write(`waiting for another run that prepares this checkout (process ${owner}, ${waited} s)\n`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

function readIfThere(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Whether node_modules holds what package-lock.json asks for: npm keeps its own list of what it has put there. */
function packagesAreInstalled() {
  if (!existsSync(installedList)) return false;
  const wanted = JSON.parse(readFileSync(lockFile, "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedList, "utf8")).packages;
  // Optional packages are for other platforms too. The entry without a name is this project.
  return Object.entries(wanted).every(
    ([path, { optional, version }]) => path === "" || optional || installed[path]?.version === version,
  );
}

/**
 * `npm install --no-save` keeps to package-lock.json as `npm ci` does, without two of its traits: it does not remove
 * node_modules under whoever is using it, and it accepts a lock that lacks optional packages for other platforms, as one has
 * that was written behind a registry without them (npm ci: "Missing: @biomejs/cli-darwin-arm64@ from lock file").
 */
async function ensurePackages() {
  if (packagesAreInstalled()) return;
  const args = ["install", "--prefix", project, "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  await step("installing npm packages", "npm", args);
}

function isBuilt() {
  const built = statSync(buildStamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const inputs = [lockFile, join(project, "tsconfig.json"), join(project, "tsconfig.build.json")];
  const newest = Math.max(
    ...inputs.map((file) => statSync(file).mtimeMs),
    ...sourceFolders.map((folder) => newestSource(join(project, folder))),
  );
  return built > newest;
}

async function ensureBuilt() {
  if (isBuilt()) return;
  const begun = new Date();
  const compiler = join(project, "node_modules", "typescript", "bin", "tsc");
  await step("compiling", process.execPath, [compiler, "-p", join(project, "tsconfig.build.json")]);
  writeFileSync(buildStamp, "");
  utimesSync(buildStamp, begun, begun);
}

/** Folders count too: their time changes when a file in them comes or goes. */
function newestSource(folder) {
  if (!existsSync(folder)) return 0;
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestSource(path));
    else if (entry.name.endsWith(".ts")) newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  process.stderr.write("usage: node tools/bootstrap.mjs <script.js> [args...]\n");
  process.exit(2);
}
if (!packagesAreInstalled() || !isBuilt()) {
  const release = await lock();
  try {
    await ensurePackages();
    await ensureBuilt();
  } finally {
    release();
  }
}
const { code, signal } = await run(process.execPath, [join(project, script), ...args]);
if (signal !== null) process.kill(process.pid, signal);
process.exitCode = code ?? 1;
