with meters as (

    select
        customer_key,
        meter_id,
        coalesce(installed_date, cast('0001-01-01' as date)) as installed_date,
        coalesce(removed_date, cast('9999-12-31' as date)) as removed_date
    from {{ ref('stg_metering__meters') }}
    where is_latest_version

),

final as (

    select distinct meters.customer_key
    from meters
    inner join meters as others
        on
            meters.customer_key = others.customer_key
            and meters.meter_id < others.meter_id
            and meters.installed_date <= others.removed_date
            and others.installed_date <= meters.removed_date

)

select * from final
