/** A network of machines alone: a bridge in a namespace of its own, so that this machine's network is not touched. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Machine } from "./machine";

const execute = promisify(execFile);

/** Of documentation: it is nowhere else, and the machines have no other way out. */
const network = "192.0.2";

export const addressOf = (index: number) => `${network}.${11 + index}`;

/** `lan` has the bridge. A machine that has been powered on again is connected anew. */
export async function connectMachine(lan: Machine, machine: Machine, index: number): Promise<void> {
  const port = `port${index}`;
  const ip = (...args: readonly string[]) => execute("ip", args);
  // Both ends come into being where they belong; the bridge's end goes with the machine's.
  await ip(
    ...["link", "add", "name", port, "netns", String(lan.pid()), "type", "veth"],
    ...["peer", "name", "eth0", "netns", String(machine.pid())],
  );
  await lan.run("sh", ["-c", `ip link set ${port} master lan && ip link set ${port} up`]);
  await machine.run("sh", ["-c", `ip address add ${addressOf(index)}/24 dev eth0 && ip link set eth0 up`]);
  // kubelet and kubeadm look for the address with a default route.
  await machine.run("ip", ["route", "add", "default", "via", `${network}.1`]);
}

export async function makeLan(lan: Machine): Promise<void> {
  await lan.run("sh", [
    "-c",
    `ip link add lan type bridge && ip address add ${network}.1/24 dev lan && ip link set lan up`,
  ]);
}
