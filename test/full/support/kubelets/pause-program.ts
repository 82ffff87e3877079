/**
 * What holds a pod's namespaces open: a program of three instructions that waits for signals for ever. A container runtime
 * ends it by SIGKILL.
 */
export function pauseProgram(architecture: string): Buffer {
  const { machine, code } = waiting(architecture);
  const base = 0x400000n;
  const headers = 64 + 56;
  const bytes = Buffer.alloc(headers + code.length);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(2, 16); // an executable
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(base + BigInt(headers), 24); // where it begins
  bytes.writeBigUInt64LE(64n, 32); // program headers
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(1, 64); // to be loaded
  bytes.writeUInt32LE(5, 68); // readable and executable
  bytes.writeBigUInt64LE(base, 80);
  bytes.writeBigUInt64LE(base, 88);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 96);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 104);
  bytes.writeBigUInt64LE(0x1000n, 112);
  code.copy(bytes, headers);
  return bytes;
}

function waiting(architecture: string): { readonly machine: number; readonly code: Buffer } {
  if (architecture === "amd64") {
    // mov eax, 34 (pause); syscall; jmp to the first
    return { machine: 62, code: Buffer.from("b8220000000f05ebf7", "hex") };
  }
  // mov x0..x3, 0 (no descriptors, no time limit, no mask); mov x8, 73 (ppoll); svc 0; b to the first
  return { machine: 183, code: Buffer.from("000080d2010080d2020080d2030080d2280980d2010000d4faffff17", "hex") };
}
