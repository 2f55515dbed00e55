"""The references of the images that the files for container engines name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Images:
    """The references of the images.

    Attributes:
        image: this image.
        postgres_image: PostgreSQL, as the official image starts it.
        redis_image: Redis, likewise.
        proxy_image: HAProxy, likewise.
    """

    image: str = "localhost/synapse-worker:latest"
    postgres_image: str = "docker.io/library/postgres:17-alpine"
    redis_image: str = "docker.io/library/redis:8-alpine"
    proxy_image: str = "docker.io/library/haproxy:3.2-alpine"


# Maps each option of `Images` to its description for the help.
IMAGE_HELP = {
    "image": "the reference of this image",
    "postgres_image": "the image of PostgreSQL",
    "redis_image": "the image of Redis",
    "proxy_image": "the image of HAProxy",
}
