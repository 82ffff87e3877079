/** systemd on a host over SSH: fixed command lines, in which nothing changes but the checked names of units. */
import { KmsEtcdError } from "../../../core/errors";
import type { SshSession } from "../ssh/ssh-session";
import { checkedUnit, readStates, shownProperties, type UnitControl } from "../systemd/unit-control";

export function sshUnits(session: SshSession): UnitControl {
  async function systemctl(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await session.run(`systemctl ${words.join(" ")}`);
    if (code === 0) return stdout;
    throw refused(session, words, code, stderr);
  }

  /** Looking that is cut off is done once more over a new connection. Other commands may have had their effect. */
  async function looking(...words: readonly string[]): Promise<string> {
    try {
      return await systemctl(...words);
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || thrown.code !== "unreachable") throw thrown;
      return systemctl(...words);
    }
  }

  return {
    states: async (units) =>
      units.length === 0
        ? []
        : readStates(await looking("show", `--property=${shownProperties}`, "--", ...units.map(checkedUnit))),
    reload: async () => {
      await systemctl("daemon-reload");
    },
    restart: async (unit) => {
      // One that has failed too often is not started again otherwise.
      await systemctl("reset-failed", "--", checkedUnit(unit));
      await systemctl("restart", "--no-block", "--", checkedUnit(unit));
    },
    enable: async (unit) => {
      await systemctl("enable", "--now", "--", checkedUnit(unit));
    },
    stop: async (unit) => {
      await systemctl("stop", "--", checkedUnit(unit));
    },
    disable: async (unit) => {
      await systemctl("disable", "--now", "--", checkedUnit(unit));
    },
  };
}

function refused(session: SshSession, words: readonly string[], code: number, stderr: string): KmsEtcdError {
  const said = stderr.trim().split("\n")[0]?.slice(0, 200) ?? "";
  const message = `${session.name}: systemctl ${words[0]} ended with ${code}${said === "" ? "" : ` (${said})`}`;
  if (code === 127 || said.includes("command not found")) {
    return new KmsEtcdError("unsupported", message, {
      remedy: "this host has no systemd: leave layout.apiServerUnit out for it",
    });
  }
  if (/sudo:|authentication required|access denied|not permitted|permission denied/i.test(said)) {
    return new KmsEtcdError("permission-denied", message, {
      remedy: "connect as root, or set ssh.sudo and put the lines for systemctl from docs/self-managed.md into sudoers",
    });
  }
  return new KmsEtcdError("blocked", message, { remedy: "see what systemd says on that host, then run again" });
}
