"""Runs over files and folders: what is planned, done to each picture and reported."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.jobs.cluster.options import EngineOptions
    from pixperts.jobs.enhance import Enhance
    from pixperts.jobs.job import Job
    from pixperts.jobs.operation import Operation
    from pixperts.jobs.operations import Restore, Upscale
    from pixperts.jobs.options import FileOptions, FolderOptions
    from pixperts.jobs.outcomes import Listener, Outcome, Summary
    from pixperts.jobs.reports import (
        EnhanceReport,
        Report,
        RestoreReport,
        UpscaleReport,
        VideoReport,
    )
    from pixperts.jobs.run import run_folder
else:
    __getattr__ = attach(
        __name__,
        {
            "cluster.options": ["EngineOptions"],
            "enhance": ["Enhance"],
            "job": ["Job"],
            "operation": ["Operation"],
            "operations": ["Upscale", "Restore"],
            "outcomes": ["Listener", "Outcome", "Summary"],
            "options": ["FileOptions", "FolderOptions"],
            "reports": ["Report", "UpscaleReport", "RestoreReport", "EnhanceReport", "VideoReport"],
            "run": ["run_folder"],
        },
    )

__all__ = [
    "EngineOptions",
    "Enhance",
    "EnhanceReport",
    "FileOptions",
    "FolderOptions",
    "Job",
    "Listener",
    "Operation",
    "Outcome",
    "Report",
    "Restore",
    "RestoreReport",
    "Summary",
    "Upscale",
    "UpscaleReport",
    "VideoReport",
    "run_folder",
]
