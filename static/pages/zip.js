// Several files as one: a zip without compression, put together from parts that stay on the disk until they are sent.

const UTF8 = 0x0800;
const FIRST_OF_1980 = 0x21; // the same files always give the same bytes, so that a broken upload can go on
const IN_ZIP64 = 0xffffffff; // "see the 64-bit field"

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** @import { Entry } from "./slide-sets.js" */

/**
 * A zip of files as a Blob; it takes no memory, but every file is read once for its checksum.
 * @param {Entry[]} entries
 * @param {(read: number) => void} onRead called with the bytes read so far
 */
export async function zipped(entries, onRead) {
  const parts = [];
  const directory = [];
  let at = 0;
  let read = 0;
  for (const { path, file } of [...entries].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const crc = await checksum(file, (bytes) => onRead((read += bytes)));
    const name = new TextEncoder().encode(path);
    // Version, flags, method, time, date; checksum and sizes; length of the name.
    const common = [u16(45, UTF8, 0, 0, FIRST_OF_1980), u32(crc, IN_ZIP64, IN_ZIP64), u16(name.length)];
    const sizes = u64(file.size, file.size);
    const local = new Blob([u32(0x04034b50), ...common, u16(20), name, u16(1, 16), sizes]);
    directory.push(u32(0x02014b50), u16(45), ...common, u16(28, 0, 0, 0), u32(0, IN_ZIP64));
    directory.push(name, u16(1, 24), sizes, u64(at));
    parts.push(local, file);
    at += local.size + file.size;
  }
  const listed = new Blob(directory);
  const count = entries.length;
  const end = [u32(0x06064b50), u64(44), u16(45, 45), u32(0, 0), u64(count, count, listed.size, at)];
  const locator = [u32(0x07064b50, 0), u64(at + listed.size), u32(1)];
  const last = [u32(0x06054b50), u16(0, 0, 0xffff, 0xffff), u32(IN_ZIP64, IN_ZIP64), u16(0)];
  return new Blob([...parts, listed, ...end, ...locator, ...last]);
}

/** The CRC-32 of a file. @param {File} file @param {(bytes: number) => void} onBytes */
async function checksum(file, onBytes) {
  const reader = file.stream().getReader();
  let crc = 0xffffffff;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return ~crc >>> 0;
    for (let i = 0; i < value.length; i += 1) crc = (crc >>> 8) ^ TABLE[(crc ^ value[i]) & 0xff];
    onBytes(value.length);
  }
}

/** @param {...number} values */
const u16 = (...values) => new Uint16Array(values);
/** @param {...number} values */
const u32 = (...values) => new Uint32Array(values);
/** @param {...number} values */
const u64 = (...values) => new BigUint64Array(values.map(BigInt));
