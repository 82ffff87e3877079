/**
 * Port: systemd on a host, and no more of it than the engine needs. A host that runs its API server as a unit has no kubelet that
 * watches a folder, so what was written there is put into force by asking. No method takes anything but the name of a unit.
 */
import { KmsEtcdError } from "../../../core/errors";
import { serviceName } from "../../../core/self-managed-inputs";

export interface UnitState {
  readonly unit: string;
  /** Whether systemd has the unit at all. */
  readonly isLoaded: boolean;
  /** `active`, `activating`, `deactivating`, `failed`, `inactive`. */
  readonly activeState: string;
  readonly subState: string;
  /** `success`, or how it failed. */
  readonly result: string;
  /** Whether a start, stop or restart waits or is under way. */
  readonly hasJob: boolean;
  /** The unit's files in the order in which they count, as systemd has last loaded them. */
  readonly files: readonly string[];
}

export interface UnitControl {
  states(units: readonly string[]): Promise<readonly UnitState[]>;
  /** Has systemd read all units' files again. It starts and stops nothing. */
  reload(): Promise<void>;
  /** Asks for a restart and does not wait for it. Also of a unit that has failed too often. */
  restart(unit: string): Promise<void>;
  /** Starts it now and at every boot. */
  enable(unit: string): Promise<void>;
  /** Ends it until somebody starts it, or the next boot; returns when it has ended. */
  stop(unit: string): Promise<void>;
  /** The opposite of `enable`; returns when it has ended. */
  disable(unit: string): Promise<void>;
}

/** Properties that `readStates` needs, in systemctl's spelling. */
export const shownProperties = "Id,LoadState,ActiveState,SubState,Result,Job,FragmentPath,DropInPaths";

/** What `systemctl show` prints: a paragraph for each unit. */
export function readStates(text: string): readonly UnitState[] {
  return text
    .split("\n\n")
    .filter((paragraph) => paragraph.trim() !== "")
    .map((paragraph) => {
      const shown = Object.fromEntries(
        paragraph
          .split("\n")
          .filter((line) => line.includes("="))
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
      const text = (name: string) => shown[name] ?? "";
      return {
        unit: text("Id"),
        isLoaded: text("LoadState") === "loaded",
        activeState: text("ActiveState"),
        subState: text("SubState"),
        result: text("Result"),
        hasJob: Number(text("Job")) > 0,
        files: [text("FragmentPath"), ...text("DropInPaths").split(" ")].filter((path) => path !== ""),
      };
    });
}

/** Throws `invalid-input` for anything but a service's name. */
export function checkedUnit(unit: string): string {
  if (serviceName.test(unit)) return unit;
  throw new KmsEtcdError("invalid-input", `${JSON.stringify(unit)} is not the name of a service`, {
    remedy: "write it with its ending, for example kube-apiserver.service",
  });
}
