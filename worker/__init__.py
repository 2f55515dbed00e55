"""The entrypoint of the image: settings, worker types, documents, files and launch."""
