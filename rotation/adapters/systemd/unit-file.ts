/**
 * What systemd's unit files say, as far as an API server's flags depend on it (systemd.syntax): the file of the unit and its
 * drop-ins in their order, where an empty assignment to a list begins it anew. Pure.
 */
import { splitWords } from "./unit-words";

/** systemd passes over sections whose names begin so; the engine's notes stand there. */
export const notesSection = "X-KmsEtcd";

interface Assignment {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}

export interface ServiceUnit {
  /** `ExecStart=` lines as they stand. */
  readonly commands: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly environmentFiles: readonly string[];
  /** Undefined: root. */
  readonly user: string | undefined;
  readonly notes: Readonly<Record<string, string>>;
}

/** In the order of the file. Lines that are none of systemd's are passed over, as by systemd. */
export function unitAssignments(text: string): readonly Assignment[] {
  const found: Assignment[] = [];
  let section = "";
  for (const line of joinedLines(text)) {
    const header = /^\[([^\]]+)\]$/.exec(line)?.[1];
    const [, name, value] = /^([^=]+?)\s*=\s*(.*)$/s.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (name !== undefined && value !== undefined) found.push({ section, name, value });
  }
  return found;
}

/** `texts` in the order in which systemd reads them. */
export function serviceUnit(texts: readonly string[]): ServiceUnit {
  let commands: string[] = [];
  let environment: Record<string, string> = {};
  let environmentFiles: string[] = [];
  let user: string | undefined;
  const notes: Record<string, string> = {};
  for (const { section, name, value } of texts.flatMap(unitAssignments)) {
    if (section === notesSection) notes[name] = value;
    if (section !== "Service") continue;
    if (name === "ExecStart") commands = value === "" ? [] : [...commands, value];
    if (name === "EnvironmentFile") environmentFiles = value === "" ? [] : [...environmentFiles, value];
    if (name === "Environment") environment = value === "" ? {} : { ...environment, ...pairs(value) };
    if (name === "User") user = value === "" || value === "root" || value === "0" ? undefined : value;
  }
  return { commands, environment, environmentFiles, user, notes };
}

/** The variables of a file that `EnvironmentFile=` names. */
export function environmentOf(text: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const line of joinedLines(text)) {
    const [, name, value = ""] = /^(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$/s.exec(line) ?? [];
    if (name !== undefined) found[name] = unquoted(value);
  }
  return found;
}

function pairs(value: string): Readonly<Record<string, string>> {
  const words = (splitWords(value) ?? []).map((word) => word.replaceAll("%%", "%"));
  return Object.fromEntries(words.flatMap((word) => (word.includes("=") ? [splitOnce(word)] : [])));
}

function splitOnce(word: string): readonly [string, string] {
  const at = word.indexOf("=");
  return [word.slice(0, at), word.slice(at + 1)];
}

/** Without comments and blank lines; a backslash at the end of a line goes on with the next one that is no comment. */
function joinedLines(text: string): readonly string[] {
  const lines: string[] = [];
  let open: string | undefined;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" && open === undefined) continue;
    if (/^[#;]/.test(line)) continue;
    const whole = open === undefined ? line : `${open} ${line}`;
    if (whole.endsWith("\\")) open = whole.slice(0, -1).trimEnd();
    else {
      lines.push(whole);
      open = undefined;
    }
  }
  return open === undefined ? lines : [...lines, open];
}

/** As a shell has it: what is in single quotes stays, a backslash outside of them takes the next character as it is. */
function unquoted(value: string): string {
  let result = "";
  for (const [, single, double, escaped, plain] of value.matchAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^'"\\]+)/gs)) {
    result += single ?? double?.replace(/\\(["\\`$])/g, "$1") ?? escaped ?? plain ?? "";
  }
  return result.trimEnd();
}
