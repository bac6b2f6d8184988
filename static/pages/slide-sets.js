// Which of the files that were dropped or chosen belong together: a slide may be a file, or a set of files.

const SINGLE = /\.(svs|tiff?|ndpi|scn|bif|svslide|czi|png|jpe?g|bmp|zip)$/i;
const INDEX = /\.(vms|vmu)$/i; // a slide whose other files lie beside it
const DICOM = /\.(dcm|dicom)$/i;

/** @typedef {{path: string, file: File}} Entry */
/** @typedef {{name: string, entries: Entry[]}} SlideSet  name of the one file that is sent */

/** @param {Entry[]} found @returns {{slides: SlideSet[], others: number}} others: left out, no slides */
export function slideSets(found) {
  const left = new Map(found.filter(({ path }) => !/(^|\/)\./.test(path)).map((entry) => [entry.path, entry]));
  /** @type {SlideSet[]} */
  const slides = [];
  /** @param {string} name @param {Entry[]} entries */
  const take = (name, entries) => {
    if (!entries.length) return;
    for (const { path } of entries) left.delete(path);
    slides.push({ name: entries.length > 1 ? `${name}.zip` : entries[0].file.name, entries });
  };
  for (const { path } of found.filter((entry) => /\.mrxs$/i.test(entry.path))) {
    const stem = path.slice(0, -5);
    take(
      base(stem),
      [...left.values()].filter((entry) => entry.path === path || entry.path.startsWith(`${stem}/`)),
    );
  }
  for (const folder of new Set([...left.keys()].map(folderOf))) {
    const here = [...left.values()].filter(({ path }) => folderOf(path) === folder);
    const dicom = here.filter(({ path }) => DICOM.test(path) || !base(path).includes("."));
    if (here.some(({ path }) => INDEX.test(path))) take(base(folder) || "slide", here);
    else take(base(folder) || "slide", dicom);
  }
  for (const entry of [...left.values()].filter(({ path }) => SINGLE.test(path))) take("", [entry]);
  return { slides, others: left.size };
}

/**
 * Everything in what was dropped, folders with all that is in them. To be called while the drop is handled.
 * @param {DataTransferItemList} items
 */
export async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(walk))).flat();
}

/** @param {FileSystemEntry} entry @returns {Promise<Entry[]>} */
async function walk(entry) {
  if (entry.isFile)
    return [{ path: entry.fullPath.slice(1), file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)) }];
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const inside = [];
  for (;;) {
    const some = await next(reader); // at most 100 at a time
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(walk))).flat();
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/** @param {FileSystemDirectoryReader} reader @returns {Promise<FileSystemEntry[]>} */
const next = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));

/** @param {string} path */
const base = (path) => path.slice(path.lastIndexOf("/") + 1);
/** @param {string} path */
const folderOf = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
