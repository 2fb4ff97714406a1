from resources.kinds.base import Category, Kind
from resources.kinds.mysql.form import MysqlForm

KIND = Kind(
    slug="mysql",
    label="MySQL",
    category=Category.DATASOURCE,
    description="MariaDB too.",
    icon="circle-stack",
    form=MysqlForm,
    default_port=3306,
    is_served=False,
)
