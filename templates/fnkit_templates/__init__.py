"""Files that fnkit copies into bundles and new projects."""
