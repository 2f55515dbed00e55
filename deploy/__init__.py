"""From a plan of workers to the configuration of what runs around them; part of the image."""
