{#-
    Tables of Parquet files keep no constraint. So what the contract says of a new table is looked up in it: a missing
    value where none may be fails the model, as it does on DuckDB.
-#}
{% macro spark__persist_constraints(relation, model) -%}
    {%- set required = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- for column in model.columns.values() -%}
            {%- for constraint in column.constraints -%}
                {%- if constraint.type != 'not_null' -%}
                    {%- do exceptions.raise_compiler_error(
                        'The constraint ' ~ constraint.type ~ ' of ' ~ column.name ~ ' cannot be checked on Spark.'
                    ) -%}
                {%- endif -%}
                {%- do required.append(column.name) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if required -%}
        {%- set counts = [] -%}
        {%- for column in required -%}{%- do counts.append('count_if(' ~ column ~ ' is null)') -%}{%- endfor -%}
        {%- set missing = run_query('select ' ~ counts | join(', ') ~ ' from ' ~ relation).rows[0] -%}
        {%- for column in required -%}
            {%- if missing[loop.index0] > 0 -%}
                {%- do exceptions.raise_database_error(
                    missing[loop.index0] ~ ' rows of ' ~ relation ~ ' have no ' ~ column ~ ', which the contract demands.'
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
