from resources.kinds.base import Category, Kind
from resources.kinds.redis.form import RedisForm

KIND = Kind(
    slug="redis",
    label="Redis",
    category=Category.DATASOURCE,
    description="Valkey too.",
    icon="bolt",
    form=RedisForm,
    default_port=6379,
    is_served=False,
)
