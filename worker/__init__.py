"""The entrypoint: settings, worker types, documents, files, launch."""
