{#-
    The contracts name types as DuckDB does. On Spark a text is a `string`, and a timestamp without zone is a
    `timestamp_ntz`; everything else has one name on both.
-#}
{% macro spark__get_empty_schema_sql(columns) -%}
    {%- set names = {'varchar': 'string', 'timestamp': 'timestamp_ntz'} -%}
    select
    {%- for column in columns.values() %}
        cast(null as {{ names.get(column['data_type'], column['data_type']) }}) as {{ column['name'] }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
