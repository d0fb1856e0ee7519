"""Enlarge a folder and sum up the run from its manifest, with pandas.

python examples/folder_table.py examples --out large --scale 2

Given again, it does only what is missing; the manifest grows, and the last line about a result
is the one that counts.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from pixperts.inference import SizeRequest
from pixperts.jobs import FolderOptions, Upscale, run_folder

HERE = Path(__file__).parent


def table(manifest: Path) -> pd.DataFrame:
    """One row per result: size, seconds, speed, and the error where there was one."""
    rows = pd.read_json(manifest, lines=True).reindex(
        columns=["input", "output", "new_width", "new_height", "seconds", "megapixels", "error"]
    )
    rows = rows.drop_duplicates("output", keep="last")
    rows["input"] = [Path(name).name for name in rows["input"]]
    rows["seconds_per_megapixel"] = rows["seconds"] / rows["megapixels"]
    rows = rows.astype({"new_width": "Int64", "new_height": "Int64"})  # a failed one has none
    return rows.drop(columns="output").sort_values("input").reset_index(drop=True)


def main() -> int:
    """Run, and print the table; exit code 1 if a picture failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE, help="default: examples")
    parser.add_argument("--out", type=Path, default=Path("out/folder"))
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("-m", "--model", default="moeisr-photo")
    args = parser.parse_args()
    manifest = args.out.with_name(f"{args.out.name}.jsonl")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    summary = run_folder(
        args.folder,
        args.out,
        Upscale(SizeRequest(scale=args.scale)),
        args.model,
        options=FolderOptions(manifest=manifest),
    )
    rows = table(manifest)
    print(rows.drop(columns="error").round(2).to_string(index=False, na_rep="-"))
    print(f"\n{summary.done} done, {summary.skipped} kept, {summary.failed} failed")
    print(f"{rows['megapixels'].sum():.2f} megapixels in {rows['seconds'].sum():.1f} s")
    for name, error in rows.loc[rows["error"].notna(), ["input", "error"]].itertuples(index=False):
        print(f"{name}: {error}", file=sys.stderr)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
