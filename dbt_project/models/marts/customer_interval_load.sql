-- depends_on: {{ ref('int_interval_priced_tariffs') }}
{%- set is_needed = row_count(ref('int_interval_priced_tariffs')) > 0 %}

with readings as (

    select * from {{ ref('stg_metering__readings') }}
    {%- if not is_needed %}
    where false
    {%- endif %}

),

versions as (

    select
        customer_key,
        read_at,
        interval_minutes,
        kwh,
        row_number() over (
            partition by meter_id, read_at
            order by known_at desc, revision desc
        ) as version_rank
    from readings

),

final as (

    select
        customer_key,
        cast(max(interval_minutes) as smallint) as interval_minutes,
        cast(sum(kwh) as decimal(18, 4)) as kwh,
        read_at
    from versions
    where
        version_rank = 1
        and kwh is not null
    group by
        customer_key,
        read_at

)

select * from final
